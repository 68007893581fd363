//! Logs go to a pipe that nobody reads, as when a log collector hangs. Neither requests nor the end of the process
//! wait for it.

use std::{
    fs::{File, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    process::Command,
    time::Duration,
};

use test_support::make_pipe;

use crate::support::{Deployment, Person, Role, System, binary, free_port, until};

const TIMEOUT: Duration = Duration::from_secs(20);
/// The flag with which a write fails instead of blocking (`fcntl.h` of Linux).
const O_NONBLOCK: i32 = 0o4000;

/// Creates a pipe at `path`. Only the test holds its other end, and does not read.
fn unread_pipe(path: &Path) -> File {
    make_pipe(path);
    // It is opened for reading too, since opening it for writing alone would wait for a reader.
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(O_NONBLOCK);
    options.open(path).unwrap()
}

/// Creates such a pipe and fills it.
fn full_pipe(path: &Path) -> File {
    let mut pipe = unread_pipe(path);
    while pipe.write(&[b'x'; 4_096]).is_ok() {}
    while pipe.write(b"x").is_ok() {}
    pipe
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_waits_for_an_access_log_that_nobody_reads() {
    let mut system = System::prepared(Deployment::Embedded).await;
    let pipe = system.directory().join("pipe");
    let _unread = unread_pipe(&pipe);
    system.set("TASKLEDGER_ACCESS_LOG", pipe.display().to_string());
    system.launch(Role::Up);
    system.ready().await;
    let http = reqwest::Client::builder().user_agent("u".repeat(512)).build().unwrap();
    // The pipe takes 64 KiB and the queue before it 4 MiB, and each line has more than 1.5 KiB.
    let url = format!("{}/{}", system.base, "p".repeat(1_500));
    let metrics = async || system.admin_text(Role::Up.into(), "/metrics").await;
    let dropped = async || {
        let text = metrics().await;
        let line = text.lines().find(|line| line.starts_with("taskledger_access_log_dropped_total{"));
        line.unwrap().rsplit(' ').next().unwrap().parse::<u64>().unwrap()
    };
    assert_eq!(dropped().await, 0);
    let mut sent = 0;
    while dropped().await == 0 {
        for _ in 0..100 {
            let answer = tokio::time::timeout(TIMEOUT, http.get(&url).send()).await;
            assert!(matches!(answer.unwrap().unwrap().status().as_u16(), 404 | 429));
            sent += 1;
        }
        assert!(sent < 10_000, "the log takes more than it may");
    }
    Person::join(&system.base, "ada").await.get("/tasks").await.expect(200);
    // The end of the process does not wait for the log either.
    assert_eq!(system.terminate(Role::Up), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_waits_for_a_security_log_that_nobody_reads() {
    let mut system = System::prepared(Deployment::Embedded).await;
    let pipe = system.directory().join("pipe");
    let _full = full_pipe(&pipe);
    system.set("TASKLEDGER_SECURITY_LOG", pipe.display().to_string());
    system.launch(Role::Up);
    system.ready().await;
    // There are more requests than threads that could block.
    let mut junk = Person::join(&system.base, "ada").await;
    junk.token = "not.a.token".to_owned();
    for _ in 0..50 {
        let answer = tokio::time::timeout(TIMEOUT, junk.get("/tasks")).await;
        answer.expect("a request waits for the log").expect(401);
    }
    Person::join(&system.base, "bob").await.get("/tasks").await.expect(200);
    assert_eq!(system.terminate(Role::Up), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_waits_for_whoever_reads_standard_error() {
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("pipe");
    let _full = full_pipe(&pipe);
    let end = OpenOptions::new().write(true).open(&pipe).unwrap();
    let base = format!("127.0.0.1:{}", free_port());
    let mut process = binary()
        .env("TASKLEDGER_DATA_DIR", directory.path().join("data"))
        .env("TASKLEDGER_LISTEN", &base)
        .env("TASKLEDGER_ADMIN_LISTEN", format!("127.0.0.1:{}", free_port()))
        .env("TASKLEDGER_LOG", "debug")
        .stderr(end)
        .spawn()
        .unwrap();
    let base = format!("http://{base}");
    until("it is ready", TIMEOUT, async || {
        let ready = reqwest::get(format!("{base}/health/ready")).await;
        ready.is_ok_and(|ready| ready.status() == 200)
    })
    .await;
    Person::join(&base, "ada").await.get("/tasks").await.expect(200);
    let ended = Command::new("kill").arg(process.id().to_string()).status().unwrap();
    assert!(ended.success());
    until("it ends", TIMEOUT, async || process.try_wait().unwrap().is_some()).await;
    assert!(process.wait().unwrap().success());
}

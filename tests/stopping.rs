//! After an orderly stop of the system or a command, database files are complete and private.

use std::{
    fs,
    os::unix::fs::{FileTypeExt as _, PermissionsExt as _},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::json;
use sqlx::Connection as _;

use crate::support::{Deployment, Person, Role, System, until};

const TIMEOUT: Duration = Duration::from_secs(30);

const FILES: [&str; 5] = ["events.db", "subject-keys.db", "operations.db", "audit-tree.db", "read-models.db"];

/// The number of rows that the query counts in a copy of the file without its WAL.
async fn count_in_copy(file: &Path, sql: &str) -> i64 {
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join("copy.db");
    fs::copy(file, &copy).unwrap();
    let url = format!("sqlite:{}", copy.display());
    let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
    sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
}

#[track_caller]
fn assert_whole_and_private(data: &Path, after: &str) {
    for file in FILES {
        assert!(data.join(file).exists(), "after {after} there is no {file}");
        let wal = data.join(format!("{file}-wal"));
        assert!(!wal.exists(), "after {after} there is {}", wal.display());
    }
    let mut entries: Vec<_> = fs::read_dir(data).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.push(data.to_owned());
    for path in entries {
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "after {after} others have rights to {}", path.display());
    }
}

#[tokio::test]
async fn an_orderly_stop_leaves_whole_private_files_and_so_do_operators_commands() {
    let mut system = System::start(Deployment::Embedded).await;
    let ada = Person::join(&system.base, "ada").await;
    for number in 0..120 {
        let task = json!({"title": number.to_string()});
        ada.post("/tasks", task).await.expect(201);
    }
    // A stop does not wait for the projection, and `projection verify` compares only what is projected.
    ada.get("/tasks").await.expect(200);
    assert_eq!(system.terminate(Role::Up), Some(0));
    let data = system.data_dir();
    assert_whole_and_private(&data, "the stop");
    let created = "SELECT count(*) FROM events WHERE type = 'task.created'";
    assert_eq!(count_in_copy(&data.join("events.db"), created).await, 120);
    assert_eq!(count_in_copy(&data.join("read-models.db"), "SELECT count(*) FROM accounts").await, 1);
    let operations = "SELECT count(*) FROM _sqlx_migrations";
    assert!(count_in_copy(&data.join("operations.db"), operations).await > 0);

    for arguments in [
        &["migrate"][..],
        &["events", "tail"],
        &["parked", "list"],
        &["parked", "retry", "--all"],
        &["projection", "status"],
        // This comes before any recorded command, since nothing is projected while the system is stopped.
        &["projection", "verify"],
        &["projection", "rebuild", "--yes"],
        &["projection", "rollback", "--yes"],
        &["events", "show", "999999"],
    ] {
        let output = system.tool(arguments).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert_eq!(output.status.success(), arguments[1..] != ["show", "999999"], "{arguments:?}: {said}");
        assert_whole_and_private(&data, &arguments.join(" "));
    }
    system.stop().await;
}

#[tokio::test]
async fn who_reads_one_file_holds_up_the_end_of_the_process_for_a_moment_only() {
    let mut system = System::start(Deployment::Embedded).await;
    let _ada = Person::join(&system.base, "ada").await;
    let data = system.data_dir();
    let mut readers = Vec::new();
    for file in ["subject-keys.db", "operations.db", "read-models.db"] {
        let url = format!("sqlite:{}", data.join(file).display());
        let mut reader = sqlx::SqliteConnection::connect(&url).await.unwrap();
        for sql in ["BEGIN", "SELECT count(*) FROM sqlite_master"] {
            sqlx::query(sql).execute(&mut reader).await.unwrap();
        }
        readers.push(reader);
    }
    let _bob = Person::join(&system.base, "bob").await;
    let begun = Instant::now();
    assert_eq!(system.terminate(Role::Up), Some(0));
    let seconds = begun.elapsed().as_secs();
    assert!(seconds < 9, "the stop took {seconds} s");
    for file in ["events.db", "audit-tree.db"] {
        let wal = data.join(format!("{file}-wal"));
        assert!(!wal.exists(), "there is {}", wal.display());
    }
    drop(readers);
    system.clean().await;
}

#[tokio::test]
async fn a_disk_that_does_not_answer_keeps_no_process_from_its_end() {
    let mut system = System::start(Deployment::Embedded).await;
    // Whoever writes into a pipe waits until somebody reads from it.
    let pipe = system.data_dir().join("operations.db.probe");
    let is_made = || {
        let made = Command::new("mkfifo").arg(&pipe).stderr(Stdio::null()).status();
        made.unwrap().success()
    };
    // A probe of that moment may have a file there.
    until("the pipe is there", TIMEOUT, async || {
        is_made() || pipe.metadata().is_ok_and(|file| file.file_type().is_fifo())
    })
    .await;
    until("a probe waits for the disk", TIMEOUT, async || {
        let ready = reqwest::get(format!("{}/health/ready", system.base)).await;
        ready.is_ok_and(|answer| answer.status() == 503)
    })
    .await;
    system.signal(Role::Up.into(), "TERM");
    until("the process has ended", TIMEOUT, async || system.has_ended(Role::Up.into())).await;
    system.clean().await;
}

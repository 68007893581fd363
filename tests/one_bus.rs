//! Processes that would not hear of each other do not work on one PostgreSQL: one whose bus is within it, and those
//! with RabbitMQ.

use std::{
    fs,
    process::{Command, Stdio},
    time::Duration,
};

use database::{Database, LockMode, ProcessLock, Schema};

use crate::support::{Deployment, System, free_port, until};

const TIMEOUT: Duration = Duration::from_secs(60);

/// One more process of the system.
fn process(system: &System, role: &str) -> Command {
    let mut command = system.tool(&[role]);
    for name in ["TASKLEDGER_LISTEN", "TASKLEDGER_ADMIN_LISTEN"] {
        command.env(name, "127.0.0.1:0");
    }
    command
}

fn without_rabbitmq(system: &System) -> Command {
    let mut command = process(system, "up");
    command.env_remove("AMQP_URL");
    command
}

/// An import of a file that is there. It is locked before it is read.
fn import(system: &System) -> Command {
    let export = system.directory().join("export");
    fs::write(&export, "").unwrap();
    system.tool(&["events", "import", export.to_str().unwrap()])
}

/// Fails unless the process is refused for this `reason`. One that could not reach its servers in time on a busy
/// machine is started again, as by a supervisor.
async fn is_refused(mut command: Command, reason: &'static str) {
    let mut said = String::new();
    for _ in 0..3 {
        let run = move || (command.output(), command);
        let (output, again) = tokio::task::spawn_blocking(run).await.unwrap();
        let output = output.unwrap();
        said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        if said.contains(reason) {
            break;
        }
        command = again;
    }
    assert!(said.contains(reason), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_with_rabbitmq_and_one_process_without_it_exclude_each_other_on_postgres() {
    let mut system = System::start(Deployment::Servers).await;
    let reason = "without RabbitMQ the two would not hear of each other: set AMQP_URL for both";
    is_refused(without_rabbitmq(&system), reason).await;
    until("those that were there are ready", TIMEOUT, async || system.is_ready().await).await;
    system.terminate_all();

    let port = free_port();
    let mut alone = without_rabbitmq(&system)
        .env("TASKLEDGER_LISTEN", format!("127.0.0.1:{port}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until("it is ready", TIMEOUT, async || {
        let answer = reqwest::get(format!("http://127.0.0.1:{port}/health/ready")).await;
        answer.is_ok_and(|answer| answer.status() == 200)
    })
    .await;
    let reason = "without RabbitMQ runs all roles on this database, and would not hear of this one";
    tokio::join!(
        is_refused(process(&system, "command-api"), reason),
        is_refused(process(&system, "query-api"), reason),
        is_refused(
            import(&system),
            "without RabbitMQ runs all roles on this database: stop it before the import"
        ),
    );
    // The lock ends with its process.
    alone.kill().unwrap();
    alone.wait().unwrap();
    system.launch_all();
    system.ready().await;
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_is_refused_while_another_one_writes_to_the_same_postgres() {
    let system = System::prepared(Deployment::Servers).await;
    let url = system.setting("DATABASE_URL");
    let database = Database::connect(url, Schema::Operations, 1).await.unwrap();
    let server = database.postgres().unwrap();
    let other = ProcessLock::take(server, "taskledger.import", LockMode::Exclusive).await;
    let other = other.unwrap().unwrap();
    let mut without_rabbitmq = import(&system);
    without_rabbitmq.env_remove("AMQP_URL");
    let reason = "another `taskledger events import` runs on this database: wait until it has ended";
    tokio::join!(is_refused(import(&system), reason), is_refused(without_rabbitmq, reason),);
    // Then the file is read, and refused for what it is.
    drop(other);
    is_refused(import(&system), "the export").await;
    database.close().await;
    system.stop().await;
}

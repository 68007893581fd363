//! Processes that would not hear of each other do not work on one PostgreSQL: one whose bus is within it, and those
//! with RabbitMQ.

use std::{
    fs,
    process::{Command, Stdio},
    time::Duration,
};

use database::{Database, LockMode, ProcessLock, Schema};

use crate::support::{Deployment, System, free_port, until};

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

/// The error of a process that does not start.
async fn refused(mut command: Command) -> String {
    let ended = tokio::task::spawn_blocking(move || command.output()).await;
    let output = ended.unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_with_rabbitmq_and_one_process_without_it_exclude_each_other_on_postgres() {
    let mut system = System::start(Deployment::Servers).await;
    let said = refused(without_rabbitmq(&system)).await;
    let reason = "without RabbitMQ the two would not hear of each other: set AMQP_URL for both";
    assert!(said.contains(reason), "{said}");
    assert!(system.is_ready().await, "it has disturbed those that were there");
    system.terminate_all();

    let port = free_port();
    let mut alone = without_rabbitmq(&system)
        .env("TASKLEDGER_LISTEN", format!("127.0.0.1:{port}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until("it is ready", Duration::from_secs(60), async || {
        let answer = reqwest::get(format!("http://127.0.0.1:{port}/health/ready")).await;
        answer.is_ok_and(|answer| answer.status() == 200)
    })
    .await;
    let (of_command_api, of_query_api, of_import) = tokio::join!(
        refused(process(&system, "command-api")),
        refused(process(&system, "query-api")),
        refused(import(&system)),
    );
    for said in [of_command_api, of_query_api] {
        let reason = "without RabbitMQ runs all roles on this database, and would not hear of this one";
        assert!(said.contains(reason), "{said}");
    }
    let reason = "without RabbitMQ runs all roles on this database: stop it before the import";
    assert!(of_import.contains(reason), "{of_import}");
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
    let (with, without) = tokio::join!(refused(import(&system)), refused(without_rabbitmq));
    let reason = "another `taskledger events import` runs on this database: wait until it has ended";
    for said in [with, without] {
        assert!(said.contains(reason), "{said}");
    }
    // Then the file is read, and refused for what it is.
    drop(other);
    let said = refused(import(&system)).await;
    assert!(!said.contains(reason), "{said}");
    database.close().await;
    system.stop().await;
}

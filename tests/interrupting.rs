//! Ctrl-C and SIGTERM end a rebuild of the read models at any time before the new tables take over.

use std::{
    io::{Read, Write as _},
    process::{Child, Command, ExitStatus},
    time::Duration,
};

use sqlx::{Connection as _, PgConnection};

use crate::support::{Deployment, Person, System, at_its_question, until};

/// A system that is stopped after a person has joined.
async fn stopped(deployment: Deployment) -> System {
    let mut system = System::start(deployment).await;
    Person::join(&system.base, "ada").await;
    system.terminate_all();
    system
}

async fn end_of(command: &mut Child) -> ExitStatus {
    until("the command ends", Duration::from_secs(60), async || command.try_wait().unwrap().is_some()).await;
    command.wait().unwrap()
}

#[track_caller]
fn assert_interrupted(mut output: impl Read) {
    let mut said = String::new();
    output.read_to_string(&mut said).unwrap();
    assert!(said.contains("interrupted: the live tables are as they were"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_that_is_interrupted_while_it_compares_changes_nothing_on_postgres() {
    let system = stopped(Deployment::Servers).await;
    let url = system.database_url("read-models.db");
    let mut observer = PgConnection::connect(&url).await.unwrap();
    for signal in ["INT", "TERM"] {
        // The comparison waits for this lock.
        let mut holder = PgConnection::connect(&url).await.unwrap();
        let mut lock = holder.begin().await.unwrap();
        sqlx::query("LOCK TABLE read_models.accounts IN ACCESS EXCLUSIVE MODE")
            .execute(&mut *lock)
            .await
            .unwrap();
        let rebuild = system.tool(&["projection", "rebuild", "--verify", "--yes"]).spawn();
        let mut rebuild = rebuild.unwrap();
        until("it compares", Duration::from_secs(60), async || {
            let waits = "SELECT EXISTS (SELECT FROM pg_locks
                WHERE relation = 'read_models.accounts'::regclass AND NOT granted)";
            sqlx::query_scalar(waits).fetch_one(&mut observer).await.unwrap()
        })
        .await;
        let kill = Command::new("kill").args(["-s", signal, &rebuild.id().to_string()]).status();
        assert!(kill.unwrap().success());
        assert_eq!(end_of(&mut rebuild).await.code(), Some(1), "{signal}");
        assert_interrupted(rebuild.stderr.unwrap());
        lock.rollback().await.unwrap();
        let swapped: bool = sqlx::query_scalar("SELECT to_regnamespace('read_models_previous') IS NOT NULL")
            .fetch_one(&mut observer)
            .await
            .unwrap();
        assert!(!swapped, "{signal}");
    }
    observer.close().await.unwrap();
    system.stop().await;
}

#[tokio::test]
async fn embedded_ctrl_c_at_the_question_of_a_rebuild_is_an_answer() {
    let system = stopped(Deployment::Embedded).await;
    let mut terminal = at_its_question(&system, &["projection", "rebuild"]);
    let (mut keyboard, screen) = (terminal.stdin.take().unwrap(), terminal.stdout.take().unwrap());
    // Ctrl-C.
    keyboard.write_all(b"\x03").unwrap();
    assert_eq!(end_of(&mut terminal).await.code(), Some(1));
    assert_interrupted(screen);
    assert!(!system.data_dir().join("read-models.previous.db").exists());
    system.stop().await;
}

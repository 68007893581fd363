//! Work on the same PostgreSQL that another process has to leave alone, or to take over.

use std::{mem::replace, sync::atomic::Ordering};

use bus::InProcessBus;
use events::AccountErased;
use sqlx::{Connection, Executor, PgConnection};
use test_support::FaultyStore;
use tokio_util::sync::CancellationToken;

use crate::suite::{
    fixture::{Fixture, eventually},
    writer::{Writer, created, registered, renamed, started, user},
};

const PARTITIONS: u16 = 4;

pub(crate) async fn whoever_cannot_read_the_log_leaves_its_partitions_to_others(mut fixture: Fixture) {
    let faulty = FaultyStore::over(fixture.store.clone());
    let cut_off = {
        let store = replace(&mut fixture.store, faulty.clone());
        let running = fixture.project(PARTITIONS, InProcessBus::new()).await;
        fixture.store = store;
        running
    };
    let healthy = fixture.project(PARTITIONS, InProcessBus::new()).await;
    let replicas = "SELECT COUNT(DISTINCT replica) AS number FROM partition_leases WHERE partitions = 4";
    let replicas = async || fixture.rows(replicas).await[0].unsigned("number").unwrap();
    eventually("both own partitions", async || replicas().await == 2).await;
    faulty.down.store(true, Ordering::SeqCst);
    let mut log = Writer::new(&fixture.store);
    for number in 0..20 {
        log.task(number, user(number), created(user(number), "Task")).await;
    }
    eventually("the other one projects all partitions", async || fixture.count("tasks").await == 20).await;
    faulty.down.store(false, Ordering::SeqCst);
    eventually("both own partitions again", async || replicas().await == 2).await;
    log.task(0, user(0), renamed("Again")).await;
    assert_eq!(fixture.caught_up().await.tasks, 20);
    cut_off.stop().await;
    healthy.stop().await;
}

/// A rebuild has rows of a person in a transaction while the projector removes that person from its tables.
pub(crate) async fn a_person_is_erased_from_what_a_rebuild_is_writing(fixture: Fixture) {
    let person = user(1);
    let mut log = Writer::new(&fixture.store);
    log.account(person, registered("person@example.org")).await;
    log.task(1, person, created(person, "Personal")).await;
    fixture.catch_up(2).await;
    let rebuild = fixture.built(2).await;
    let mut writing = PgConnection::connect(&fixture.url()).await.unwrap();
    writing
        .execute(
            "CREATE TABLE read_models_shadow.copy AS TABLE read_models_shadow.task_history;
             DELETE FROM read_models_shadow.task_history",
        )
        .await
        .unwrap();
    writing
        .execute(
            "BEGIN;
             UPDATE read_models_shadow.checkpoints SET position = position;
             INSERT INTO read_models_shadow.task_history SELECT * FROM read_models_shadow.copy",
        )
        .await
        .unwrap();
    log.account(person, AccountErased {}).await;
    let running = fixture.project(2, InProcessBus::new()).await;
    let known = "SELECT COUNT(*) AS number FROM read_models_shadow.erased_subjects";
    let known = async || fixture.rows(known).await[0].unsigned("number").unwrap() > 0;
    let waits = "SELECT COUNT(*) AS number FROM pg_stat_activity
         WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE 'UPDATE checkpoints SET position = position%'";
    eventually("the person is removed from the tables aside", async || {
        known().await || fixture.rows(waits).await[0].unsigned("number").unwrap() > 0
    })
    .await;
    writing.execute("COMMIT").await.unwrap();
    eventually("the person is removed", known).await;
    let left = "SELECT COUNT(*) AS number FROM read_models_shadow.task_history";
    assert_eq!(fixture.rows(left).await[0].unsigned("number").unwrap(), 0);
    running.stop().await;
    rebuild.close().await;
}

/// Far more events are parked than a swap could tell one by one while projectors wait.
pub(crate) async fn a_swap_does_not_take_longer_the_more_is_parked(fixture: Fixture) {
    let mut log = Writer::new(&fixture.store);
    log.task(1, user(1), created(user(1), "Task")).await;
    fixture.catch_up(2).await;
    fixture
        .run(
            "INSERT INTO parked_events (position, stream, version, type, subject, reason, attempts)
             SELECT number, 'task-' || number, 1, 'task.created', gen_random_uuid(), 'test', 2
             FROM generate_series(1000, 200999) AS number",
        )
        .await;
    let rebuild = fixture.built(2).await;
    rebuild.swap(&CancellationToken::new()).await.unwrap();
    assert_eq!(fixture.count("parked_events").await, 0);
    rebuild.close().await;
}

/// Rows of an erased person are being deleted while tables take over in which none were deleted yet.
pub(crate) async fn nobody_is_forgotten_whose_rows_are_deleted_while_tables_change_places(fixture: Fixture) {
    let person = user(1);
    let mut log = Writer::new(&fixture.store);
    log.account(person, registered("person@example.org")).await;
    log.session(1, person, started(person)).await;
    fixture.catch_up(2).await;
    let rebuild = fixture.built(2).await;
    for schema in ["read_models", "read_models_shadow"] {
        let mark = format!("INSERT INTO {schema}.unfinished_erasures (subject) VALUES ('{person}')");
        fixture.run(&mark).await;
    }
    let mut holder = PgConnection::connect(&fixture.url()).await.unwrap();
    holder.execute("BEGIN; SELECT id FROM read_models.sessions FOR UPDATE").await.unwrap();
    let is_true = async |sql: &str| {
        let sql = format!("SELECT CAST(CASE WHEN {sql} THEN 1 ELSE 0 END AS BIGINT) AS number");
        fixture.rows(&sql).await[0].unsigned("number").unwrap() == 1
    };
    let waits = "EXISTS (SELECT FROM pg_stat_activity
         WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE";
    let deleting = rebuild.compare(|_| {});
    let swapping = async {
        eventually("the deletion waits", async || {
            is_true(&format!("{waits} 'DELETE FROM sessions%')")).await
        })
        .await;
        rebuild.swap(&CancellationToken::new()).await
    };
    let letting_go = async {
        eventually("the tables have changed places or wait for the deletion", async || {
            is_true("to_regnamespace('read_models_previous') IS NOT NULL").await
                || is_true(&format!("{waits} 'LOCK TABLE checkpoints IN SHARE%')")).await
        })
        .await;
        holder.execute("ROLLBACK").await.unwrap();
    };
    // What is compared afterwards may be gone.
    let (_, swapped, ()) = tokio::join!(deleting, swapping, letting_go);
    swapped.unwrap();
    let rows = fixture.count("accounts").await + fixture.count("sessions").await;
    assert!(rows == 0 || fixture.count("unfinished_erasures").await == 1, "{rows} rows are left");
    rebuild.close().await;
}

//! Other processes on the same PostgreSQL that hold locks or own partitions, and have stopped.

use std::time::{Duration, Instant};

use bus::InProcessBus;
use bytes::Bytes;
use events::StreamName;
use sqlx::{Connection, Executor, PgConnection};
use test_support::FaultyStore;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::suite::{
    fixture::{Fixture, eventually, partitions, readiness},
    relay::Relay,
    writer::{Writer, created, task, user},
};

const PARTITIONS: u16 = 4;

async fn connect(fixture: &Fixture) -> PgConnection {
    PgConnection::connect(&fixture.url()).await.unwrap()
}

/// A person in each partition.
fn one_of_each() -> Vec<u128> {
    (0..PARTITIONS)
        .map(|partition| {
            let is_there = |number: &u128| partitions(PARTITIONS).of(user(*number)) == partition;
            (0..1_000).find(is_there).unwrap()
        })
        .collect()
}

pub(crate) async fn a_locked_checkpoint_stops_no_other_partition(fixture: Fixture) {
    let bus = InProcessBus::new();
    let running = fixture.project(PARTITIONS, bus.clone()).await;
    let (mut log, mut relay) = (Writer::new(&fixture.store), Relay::new(&fixture.store, PARTITIONS));
    fixture.caught_up().await;
    let mut holder = connect(&fixture).await;
    holder
        .execute("BEGIN; UPDATE read_models.checkpoints SET position = position WHERE partition = 0")
        .await
        .unwrap();
    let people = one_of_each();
    // Its message arrives first, so that it has its turn first, repeatedly.
    for round in 0..5 {
        for person in &people {
            let owner = user(*person);
            log.task(round * 1_000 + person, owner, created(owner, "Task")).await;
        }
        relay.publish(bus.as_ref()).await;
        let wanted = u64::try_from(round + 1).unwrap() * u64::from(PARTITIONS - 1);
        eventually("all others go on", async || fixture.count("tasks").await == wanted).await;
    }
    eventually("it says that it stands still", async || {
        readiness(&running).await.contains("nothing is projected in partition 0")
    })
    .await;
    holder.execute("ROLLBACK").await.unwrap();
    assert_eq!(fixture.caught_up().await.tasks, 20);
    eventually("it is ready again", async || readiness(&running).await.contains(r#""status":"ready""#)).await;
    running.stop().await;
}

/// As of a projector that is stopped between two statements: the server ends its transaction.
pub(crate) async fn a_frozen_transaction_holds_a_partition_for_seconds_only(fixture: Fixture) {
    let running = fixture.project(1, InProcessBus::new()).await;
    fixture.caught_up().await;
    let mut frozen = fixture.read_models.begin().await.unwrap();
    frozen.execute("UPDATE checkpoints SET position = position", &[]).await.unwrap();
    // The times are the server's, which ends the transaction.
    let now = "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT) AS millis";
    let rows = frozen.fetch_all(now, &[]).await.unwrap();
    let frozen_at = rows[0].unsigned("millis").unwrap();
    let mut log = Writer::new(&fixture.store);
    log.task(1, user(1), created(user(1), "Task")).await;
    let went_on = format!("{now} FROM tasks");
    let mut went_on_at = 0;
    eventually("the partition goes on", async || {
        let rows = fixture.rows(&went_on).await;
        went_on_at = rows.first().map_or(0, |row| row.unsigned("millis").unwrap());
        went_on_at > 0
    })
    .await;
    let held_for = Duration::from_millis(went_on_at - frozen_at);
    assert!(held_for < Duration::from_secs(15), "{held_for:?}");
    assert!(held_for > Duration::from_secs(8), "the lock was not held: {held_for:?}");
    drop(frozen);
    running.stop().await;
}

async fn owners(fixture: &Fixture) -> Vec<u64> {
    let sql = "SELECT COUNT(*) AS owned FROM partition_leases GROUP BY replica ORDER BY COUNT(*)";
    let rows = fixture.rows(sql).await;
    rows.iter().map(|row| row.unsigned("owned").unwrap()).collect()
}

pub(crate) async fn replicas_share_the_partitions_evenly(fixture: Fixture) {
    let first = fixture.project(PARTITIONS, InProcessBus::new()).await;
    eventually("one has all", async || owners(&fixture).await == [4]).await;
    let second = fixture.project(PARTITIONS, InProcessBus::new()).await;
    eventually("two have half each", async || owners(&fixture).await == [2, 2]).await;
    let third = fixture.project(PARTITIONS, InProcessBus::new()).await;
    eventually("each of three has some", async || owners(&fixture).await == [1, 1, 2]).await;
    let mut log = Writer::new(&fixture.store);
    for person in one_of_each() {
        log.task(person, user(person), created(user(person), "Task")).await;
    }
    fixture.caught_up().await;
    first.stop().await;
    eventually("two have half each", async || owners(&fixture).await == [2, 2]).await;
    second.stop().await;
    eventually("one has all", async || owners(&fixture).await == [4]).await;
    for person in one_of_each() {
        log.task(1_000 + person, user(person), created(user(person), "Task")).await;
    }
    assert_eq!(fixture.caught_up().await.tasks, 8);
    third.stop().await;
    assert!(owners(&fixture).await.is_empty());
}

/// As when the grants are missing.
pub(crate) async fn who_cannot_claim_partitions_is_not_ready(fixture: Fixture) {
    let claim = "FUNCTION claim_partitions(bigint, uuid, bigint)";
    let running = fixture.project(PARTITIONS, InProcessBus::new()).await;
    eventually("it is ready", async || readiness(&running).await.contains(r#""status":"ready""#)).await;
    fixture.run(&format!("ALTER {claim} RENAME TO away")).await;
    eventually("it says that it claims nothing", async || {
        readiness(&running).await.contains("no partitions could be claimed")
    })
    .await;
    let away = claim.replace("claim_partitions", "away");
    fixture.run(&format!("ALTER {away} RENAME TO claim_partitions")).await;
    eventually("it is ready again", async || readiness(&running).await.contains(r#""status":"ready""#)).await;
    running.stop().await;
}

/// A replica that does not renew its leases loses its partitions within seconds.
pub(crate) async fn a_replica_that_stands_still_loses_its_partitions(fixture: Fixture) {
    loses_its_partitions(fixture, "clock_timestamp()").await;
}

/// As when the clock of the server is set back after a replica was seen for the last time.
pub(crate) async fn a_replica_that_was_seen_later_than_now_loses_its_partitions(fixture: Fixture) {
    loses_its_partitions(fixture, "clock_timestamp() + INTERVAL '1 hour'").await;
}

async fn loses_its_partitions(fixture: Fixture, seen_at: &str) {
    let frozen = Uuid::now_v7();
    for partition in 0..PARTITIONS {
        fixture
            .run(&format!("INSERT INTO partition_leases VALUES ({PARTITIONS}, {partition}, '{frozen}')"))
            .await;
    }
    fixture
        .run(&format!("INSERT INTO projector_replicas VALUES ({PARTITIONS}, '{frozen}', {seen_at})"))
        .await;
    let since = Instant::now();
    let running = fixture.project(PARTITIONS, InProcessBus::new()).await;
    let mut log = Writer::new(&fixture.store);
    for person in one_of_each() {
        log.task(person, user(person), created(user(person), "Task")).await;
    }
    let of_frozen = format!("partition_leases WHERE replica = '{frozen}'");
    eventually("the frozen one has lost all", async || fixture.count(&of_frozen).await == 0).await;
    fixture.caught_up().await;
    assert!(since.elapsed() < Duration::from_secs(15), "{:?}", since.elapsed());
    running.stop().await;
}

/// The replica of two partitions dies while the other one has hours of the log to read.
pub(crate) async fn what_is_claimed_while_others_are_caught_up_does_not_wait(fixture: Fixture) {
    const LONG: usize = 2_000;
    let people = one_of_each();
    let mut log = Writer::new(&fixture.store);
    log.task(0, user(people[0]), created(user(people[0]), "Does not wait")).await;
    let owner = user(people[3]);
    for number in 1..=LONG as u128 {
        log.task(number, owner, created(owner, "Slow")).await;
    }
    let gone = Uuid::now_v7();
    for partition in 0..2 {
        fixture
            .run(&format!("INSERT INTO partition_leases VALUES ({PARTITIONS}, {partition}, '{gone}')"))
            .await;
    }
    fixture
        .run(&format!("INSERT INTO projector_replicas VALUES ({PARTITIONS}, '{gone}', clock_timestamp())"))
        .await;
    let store = FaultyStore::over(fixture.store.clone());
    *store.page_takes.lock().unwrap() = Duration::from_millis(100);
    let fixture = fixture.over(store.clone());
    let running = fixture.project(PARTITIONS, InProcessBus::new()).await;
    let title = async |title: &str| fixture.count(&format!("tasks WHERE title = '{title}'")).await;
    eventually("what was claimed later is projected", async || title("Does not wait").await == 1).await;
    assert!(title("Slow").await < LONG as u64, "the others are caught up already");
    *store.page_takes.lock().unwrap() = Duration::ZERO;
    fixture.caught_up().await;
    running.stop().await;
}

/// A dump, or another reader of the old or new tables, for hours.
pub(crate) async fn readers_do_not_hold_up_a_swap(fixture: Fixture) {
    let bus = InProcessBus::new();
    let running = fixture.project(2, bus.clone()).await;
    let (mut log, mut relay) = (Writer::new(&fixture.store), Relay::new(&fixture.store, 2));
    let mut readers = Vec::new();
    for round in 0..3 {
        log.task(round, user(round), created(user(round), "Task")).await;
        relay.publish(bus.as_ref()).await;
        fixture.caught_up().await;
        let rebuild = fixture.built(2).await;
        for schema in ["read_models", "read_models_previous"] {
            let mut reader = connect(&fixture).await;
            let sql = format!("BEGIN; SELECT COUNT(*) FROM {schema}.tasks");
            if reader.execute(sql.as_str()).await.is_ok() {
                readers.push(reader);
            }
        }
        let since = Instant::now();
        rebuild.swap(&CancellationToken::new()).await.unwrap();
        assert!(since.elapsed() < Duration::from_secs(15), "{:?}", since.elapsed());
    }
    assert_eq!(readers.len(), 5, "the first time there are no previous tables");
    assert_eq!(fixture.caught_up().await.tasks, 3);
    let old = "SELECT nspname::text AS name FROM pg_namespace WHERE nspname LIKE 'read_models_old_%'";
    assert!(!fixture.rows(old).await.is_empty(), "somebody still reads them");
    drop(readers);
    let rebuild = fixture.built(2).await;
    rebuild.swap(&CancellationToken::new()).await.unwrap();
    assert!(fixture.rows(old).await.is_empty(), "nobody does any more");
    running.stop().await;
}

/// Discarded events of other streams do not make a batch more expensive.
pub(crate) async fn a_batch_does_not_read_what_was_discarded_of_other_streams(fixture: Fixture) {
    const OTHERS: u64 = 5_000;
    fixture
        .run(&format!(
            "INSERT INTO discarded_events SELECT 1000000 + n, 'task-' || n, 1, 'task.created', gen_random_uuid(), 'worthless'
             FROM generate_series(1, {OTHERS}) AS n"
        ))
        .await;
    fixture.run("ANALYZE discarded_events").await;
    let read = async |column: &str| {
        let sql =
            format!("SELECT {column} AS number FROM pg_stat_user_tables WHERE relname = 'discarded_events'");
        fixture.rows(&sql).await[0].unsigned("number").unwrap()
    };
    let before = read("seq_tup_read").await;
    let running = fixture.project(1, InProcessBus::new()).await;
    let mut log = Writer::new(&fixture.store);
    let mut number = 0;
    eventually("the statistics tell of some batches", async || {
        log.task(number, user(1), created(user(1), "Task")).await;
        number += 1;
        read("COALESCE(idx_scan, 0) + seq_scan").await > 5
    })
    .await;
    let rows = read("seq_tup_read").await - before + read("COALESCE(idx_tup_fetch, 0)").await;
    assert!(rows < OTHERS, "{rows}");
    running.stop().await;
}

/// Neither another partition that stands still nor a dump keeps an operator from anything, or projectors from going on.
pub(crate) async fn operators_wait_for_nobody_with_locks_in_their_hands(fixture: Fixture) {
    let bus = InProcessBus::new();
    let running = fixture.project(PARTITIONS, bus).await;
    let mut log = Writer::new(&fixture.store);
    let people = one_of_each();
    let owner = user(people[1]);
    let unreadable = StreamName::task(task(people[1]));
    let position = log.append_raw(&unreadable, owner, "task.teleported", Bytes::from_static(b"{}")).await;
    assert_eq!(fixture.caught_up().await.parked, 1);
    let mut holder = connect(&fixture).await;
    holder
        .execute("BEGIN; UPDATE read_models.checkpoints SET position = position WHERE partition = 0")
        .await
        .unwrap();
    projector::discard(&fixture.read_models, position).await.unwrap();
    holder.execute("ROLLBACK; BEGIN; SELECT COUNT(*) FROM read_models.tasks").await.unwrap();
    let read_models = fixture.read_models.clone();
    let emptying = tokio::spawn(async move { projector::empty(&read_models, &[]).await });
    for number in 1..4 {
        log.task(1_000 + number, owner, created(owner, "Meanwhile")).await;
        eventually("projectors go on", async || {
            fixture.count("tasks").await == u64::try_from(number).unwrap()
        })
        .await;
        tokio::time::sleep(Duration::from_secs(4)).await;
    }
    assert!(!emptying.is_finished(), "it does not wait for who reads");
    holder.execute("ROLLBACK").await.unwrap();
    emptying.await.unwrap().unwrap();
    assert_eq!(fixture.caught_up().await.tasks, 3);
    running.stop().await;
}

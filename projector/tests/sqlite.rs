//! The projector over SQLite.

#![expect(clippy::disallowed_methods, reason = "tests make ids and start tasks as they like")]
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

#[path = "suite/byte_positions.rs"]
mod byte_positions;
#[path = "suite/long_swap.rs"]
mod long_swap;
mod suite;

use bus::InProcessBus;
use database::{Database, Schema};
use events::TaskCompleted;
use suite::{
    fixture::{Fixture, partitions},
    rebuilding::history,
    writer::{Writer, created, user},
};
use tokio::{runtime::Handle, task::block_in_place};

suite!(Fixture::sqlite());

/// A comparison of large tables takes hours, in which the system writes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_wal_of_the_live_tables_can_be_emptied_while_they_are_compared() {
    let fixture = Fixture::sqlite().await;
    let mut log = Writer::new(&fixture.store);
    history(&mut log, 10).await;
    fixture.catch_up(2).await;
    let rebuild = fixture.built(2).await;
    let shadow = fixture.url().replace("read-models.db", "read-models.shadow.db");
    let shadow = Database::connect(&shadow, Schema::ReadModelsShadow, 1).await.unwrap();
    let rows = "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 25000)
        INSERT INTO parked_events (position, stream, version, type, subject, reason, attempts)
        SELECT 1000 + n, 'task-' || n, 1, 'task.created', '00000000-0000-0000-0000-000000000001', 'test', 1 FROM numbers";
    for tables in [&fixture.read_models, &shadow] {
        tables.execute(rows, &[]).await.unwrap();
    }
    let mut emptied = Vec::new();
    let compared = rebuild.compare(|rows| {
        let empty = fixture.read_models.empty_wal();
        emptied.push((rows, block_in_place(|| Handle::current().block_on(empty)).unwrap()));
    });
    let compared = compared.await.unwrap();
    assert_eq!(compared.differences, Vec::<String>::new());
    let parked = compared.tables.iter().find(|table| table.name == "parked_events").unwrap();
    assert_eq!(parked.moved, 25_000);
    assert!(emptied.len() > 4 && emptied.iter().all(|(_, is_empty)| *is_empty), "{emptied:?}");
}

/// Columns of SQLite hold values of any type, and a text is greater than every number.
#[tokio::test]
async fn a_checkpoint_that_is_no_number_skips_nothing_that_others_have_projected() {
    let fixture = Fixture::sqlite().await;
    let mut log = Writer::new(&fixture.store);
    let mut people = (1..).map(user);
    let owner = people.find(|person| partitions(2).of(*person) == 0).unwrap();
    log.task(1, owner, created(owner, "Behind")).await;
    fixture.catch_up(2).await;
    let end = log.task(1, owner, TaskCompleted {}).await;
    let others = format!("UPDATE checkpoints SET position = {end}, event_id = NULL WHERE partition = 1");
    fixture.run(&others).await;
    fixture.run("UPDATE checkpoints SET position = 'far' WHERE partition = 0").await;
    let running = fixture.project(2, InProcessBus::new()).await;
    fixture.caught_up().await;
    assert_eq!(fixture.count("tasks WHERE status = 'done'").await, 1);
    running.stop().await;
}

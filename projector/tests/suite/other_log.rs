//! A log that was cut and grew again, as after a restore from a backup or a failover without the last events: then
//! positions have other events.

use std::{sync::atomic::Ordering, time::Duration};

use bus::{Bus, InProcessBus};
use bytes::Bytes;
use events::StreamName;
use projector::{ParkingError, Rebuild, RebuildError, parked_at, retry};
use test_support::FaultyStore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{
    faults::metric,
    fixture::{Fixture, Running, eventually, pace, partitions},
    relay::Relay,
    writer::{Writer, created, task, user},
};

const MISMATCH: &str = "taskledger_projector_log_mismatch";

/// Creates tasks of four people, numbered from `first`.
async fn tasks(log: &mut Writer, first: u128, count: u128, title: &str) {
    for number in first..first + count {
        let owner = user(number % 4);
        log.task(number, owner, created(owner, title)).await;
    }
}

async fn titled(fixture: &Fixture, title: &str) -> u64 {
    fixture.count(&format!("tasks WHERE title = '{title}'")).await
}

async fn is_ready(running: &Running) -> bool {
    running.get("/health/ready").await.0.is_success()
}

async fn empty_read_models(fixture: &Fixture) {
    for table in
        ["tasks", "accounts", "sessions", "audit_log", "task_history", "checkpoints", "parked_events"]
    {
        fixture.run(&format!("DELETE FROM {table}")).await;
    }
}

pub(crate) async fn messages_of_lost_events_are_never_applied(fixture: Fixture) {
    let (mut log, mut relay) = (Writer::new(&fixture.store), Relay::new(&fixture.store, 2));
    tasks(&mut log, 0, 8, "Kept").await;
    let bus = InProcessBus::new();
    let running = fixture.project(2, bus.clone()).await;
    relay.publish(bus.as_ref()).await;
    fixture.caught_up().await;

    running.stop().await;

    // Published, but lost from the log before they are projected; some positions get other events.
    tasks(&mut log, 100, 12, "Lost").await;
    bus.publish(&relay.messages().await).await.unwrap();
    fixture.cut_log(8).await;
    let mut log = Writer::new(&fixture.store);
    tasks(&mut log, 200, 4, "Real").await;
    let running = fixture.project(2, bus.clone()).await;
    eventually("they are dropped", async || {
        metric(&running, "taskledger_projector_unknown_messages_total").await == 8
    })
    .await;
    tasks(&mut log, 204, 12, "Real").await;

    let report = fixture.caught_up().await;
    assert_eq!((report.tasks, report.audit), (24, 24));
    assert_eq!(titled(&fixture, "Lost").await, 0);
    assert_eq!(titled(&fixture, "Real").await, 16);
    assert_eq!(metric(&running, MISMATCH).await, 0);
    running.stop().await;
}

pub(crate) async fn read_models_ahead_of_the_log_are_not_projected_over(fixture: Fixture) {
    let mut log = Writer::new(&fixture.store);
    tasks(&mut log, 0, 11, "Old").await;
    fixture.catch_up(2).await;
    fixture.cut_log(8).await;

    // At the start, first with a log that is shorter than the checkpoints, then with other events at these positions,
    // and more.
    let bus = InProcessBus::new();
    let running = fixture.project(2, bus.clone()).await;
    eventually("it is noticed", async || metric(&running, MISMATCH).await > 0).await;
    assert!(!is_ready(&running).await);
    let mut relay = Relay::new(&fixture.store, 2);
    let mut log = Writer::new(&fixture.store);
    tasks(&mut log, 200, 20, "New").await;
    relay.publish(bus.as_ref()).await;
    assert!(metric(&running, MISMATCH).await > 0, "positions that exist again are no better");
    assert_eq!(titled(&fixture, "New").await, 0, "projected over another history");

    empty_read_models(&fixture).await;
    let report = fixture.caught_up().await;
    assert_eq!(report.tasks, 28);
    eventually("it says that all is well", async || {
        metric(&running, MISMATCH).await == 0 && is_ready(&running).await
    })
    .await;
    running.stop().await;
}

pub(crate) async fn a_log_that_loses_its_tail_under_a_running_projector_is_noticed(fixture: Fixture) {
    let bus = InProcessBus::new();
    let running = fixture.project(3, bus.clone()).await;
    let (mut log, mut relay) = (Writer::new(&fixture.store), Relay::new(&fixture.store, 3));
    tasks(&mut log, 0, 30, "Old").await;
    relay.publish(bus.as_ref()).await;
    fixture.caught_up().await;

    fixture.cut_log(20).await;
    // At least as many events as were lost, at the same moment: no read finds a missing position.
    tasks(&mut Writer::new(&fixture.store), 200, 20, "New").await;
    eventually("it is noticed", async || metric(&running, MISMATCH).await > 0).await;
    assert!(!is_ready(&running).await);
    assert_eq!(titled(&fixture, "New").await, 0, "projected over another history");

    empty_read_models(&fixture).await;
    assert_eq!(fixture.caught_up().await.tasks, 40);
    running.stop().await;
}

/// A record of a newer release cannot be read, but it has an id, which others at its position do not have.
pub(crate) async fn a_lost_tail_that_ended_unreadable_is_noticed(fixture: Fixture) {
    tasks(&mut Writer::new(&fixture.store), 0, 8, "Kept").await;
    tasks(&mut Writer::new(&fixture.store), 100, 5, "Lost").await;
    fixture.damage_log("UPDATE events SET encoding = 'cbor' WHERE position = 13").await;
    assert_eq!(fixture.catch_up(2).await.parked, 1);
    fixture.cut_log(8).await;
    // The log has as many events as before, so that nothing is behind or missing.
    tasks(&mut Writer::new(&fixture.store), 200, 5, "New").await;
    let running = fixture.project(2, InProcessBus::new()).await;
    eventually("every checkpoint is known to be of another log", async || {
        metric(&running, MISMATCH).await == 2
    })
    .await;
    assert_eq!(titled(&fixture, "New").await, 0, "projected over another history");

    empty_read_models(&fixture).await;
    let report = fixture.caught_up().await;
    assert_eq!((report.tasks, report.parked), (13, 0));
    running.stop().await;
}

pub(crate) async fn a_parked_event_is_not_taken_for_another_at_its_position(fixture: Fixture) {
    let mut log = Writer::new(&fixture.store);
    let (owner, stream) = (user(1), StreamName::task(task(1)));
    log.task(1, owner, created(owner, "Old")).await;
    let position = log.append_raw(&stream, owner, "task.teleported", Bytes::from_static(b"{}")).await;
    assert_eq!((position, fixture.catch_up(1).await.parked), (2, 1));
    let is_refused = async || {
        let retried = retry(fixture.store.as_ref(), &fixture.read_models, &stream).await;
        assert!(
            matches!(&retried, Err(ParkingError::NotInLog { stream: of, version: 2 }) if *of == stream),
            "{retried:?}"
        );
        assert!(parked_at(&fixture.read_models, 2).await.unwrap().is_some());
        assert_eq!(titled(&fixture, "New").await, 0);
    };
    // An event of another stream is there.
    fixture.cut_log(1).await;
    let mut log = Writer::new(&fixture.store);
    log.task(2, owner, created(owner, "New")).await;
    is_refused().await;
    // Another version of the stream is there.
    fixture.cut_log(0).await;
    let mut log = Writer::new(&fixture.store);
    log.task(2, owner, created(owner, "Other")).await;
    log.task(1, owner, created(owner, "New")).await;
    is_refused().await;
}

pub(crate) async fn a_rebuild_starts_over_when_the_log_is_another(fixture: Fixture) {
    let mut log = Writer::new(&fixture.store);
    tasks(&mut log, 0, 30, "Old").await;
    fixture.catch_up(2).await;
    let rebuild = fixture.rebuild(2).await;
    let run = CancellationToken::new();
    assert!(rebuild.build(&run, |_| {}).await.unwrap(), "left before it takes over");
    fixture.cut_log(10).await;
    tasks(&mut Writer::new(&fixture.store), 200, 30, "New").await;

    assert!(rebuild.build(&run, |_| {}).await.unwrap());
    assert_eq!(rebuild.swap(&CancellationToken::new()).await.unwrap(), 40);
    let report = fixture.caught_up().await;
    assert_eq!((report.tasks, titled(&fixture, "New").await), (40, 30));
    // The old tables are from the other history, so a rollback is refused.
    let refused = rebuild.rollback().await;
    assert!(matches!(refused, Err(RebuildError::OtherLog)), "{refused:?}");
}

/// It would wait for ever, since nobody else can make its tables fit.
pub(crate) async fn a_rebuild_under_which_the_log_is_replaced_ends(fixture: Fixture) {
    let mut log = Writer::new(&fixture.store);
    tasks(&mut log, 0, 60, "Old").await;
    fixture.catch_up(2).await;
    let faulty = FaultyStore::over(fixture.store.clone());
    let rebuild = Rebuild::open(&fixture.url(), faulty.clone(), partitions(2), pace()).await.unwrap();
    let stop = CancellationToken::new();
    stop.cancel();
    assert!(!rebuild.build(&stop, |_| {}).await.unwrap(), "it stops after a page");
    let mut has_begun = false;
    let run = CancellationToken::new();
    let building = rebuild.build(&run, |_| {
        if !std::mem::replace(&mut has_begun, true) {
            faulty.down.store(true, Ordering::SeqCst);
        }
    });
    let replacing = async {
        eventually("it cannot read the log", async || faulty.down.load(Ordering::SeqCst)).await;
        fixture.cut_log(10).await;
        tasks(&mut Writer::new(&fixture.store), 200, 60, "New").await;
        faulty.down.store(false, Ordering::SeqCst);
    };
    let (ended, ()) = tokio::join!(timeout(Duration::from_secs(30), building), replacing);
    let refused = ended.unwrap();
    assert!(matches!(refused, Err(RebuildError::OtherLog)), "{refused:?}");
    // It starts over when it is run again.
    assert!(rebuild.build(&run, |_| {}).await.unwrap());
    assert_eq!(rebuild.swap(&run).await.unwrap(), 70);
    assert_eq!(titled(&fixture, "New").await, 60);
}

pub(crate) async fn a_hole_in_the_log_is_named(fixture: Fixture) {
    let mut log = Writer::new(&fixture.store);
    tasks(&mut log, 0, 20, "Task").await;
    fixture.damage_log("DELETE FROM events WHERE position IN (5, 9, 10, 11)").await;
    // Read models that were made after the damage do not show it.
    let running = fixture.project(2, InProcessBus::new()).await;
    eventually("all is projected", async || {
        fixture.rows("SELECT position FROM checkpoints WHERE position < 20").await.is_empty()
    })
    .await;
    running.stop().await;
    let report = fixture.report().await;
    assert_eq!(
        report.differences,
        [
            "the log has no event at position 5: it is damaged",
            "the log has no events at positions 9 to 11: it is damaged"
        ]
    );
}

//! Faults of the bus, the database and a second projector that must do no harm.

use std::sync::Arc;

use bus::InProcessBus;
use events::{TaskCompleted, TaskDeleted, TaskPurged};

use super::{
    fixture::{Fixture, Running, eventually},
    relay::Relay,
    writer::{Writer, created, renamed, user},
};

pub(crate) async fn lost_messages_are_read_from_the_log(fixture: Fixture) {
    let bus = InProcessBus::new();
    let running = fixture.project(3, bus.clone()).await;
    let (mut log, mut relay) = (Writer::new(&fixture.store), Relay::new(&fixture.store, 3));
    for number in 0..60 {
        let owner = user(number % 4);
        log.task(number, owner, created(owner, "Task")).await;
        let mut messages = relay.messages().await;
        // Some are lost, among them the very last.
        messages.retain(|message| message.event.position % 5 != 0);
        bus::Bus::publish(bus.as_ref(), &messages).await.unwrap();
    }
    assert_eq!(fixture.caught_up().await.tasks, 60);
    running.stop().await;
}

pub(crate) async fn a_failing_database_delays_and_loses_nothing(fixture: Fixture) {
    let bus = InProcessBus::new();
    let running = fixture.project(2, bus.clone()).await;
    let (mut log, mut relay) = (Writer::new(&fixture.store), Relay::new(&fixture.store, 2));
    let owner = user(1);
    log.task(1, owner, created(owner, "Before")).await;
    relay.publish(bus.as_ref()).await;
    fixture.caught_up().await;
    fixture.run("ALTER TABLE tasks RENAME TO tasks_away").await;
    log.task(1, owner, renamed("During")).await;
    log.task(2, owner, created(owner, "During, too")).await;
    relay.publish(bus.as_ref()).await;
    failed_some_times(&running).await;
    assert_eq!(fixture.count("audit_log").await, 1, "nothing of a failed batch stays");
    fixture.run("ALTER TABLE tasks_away RENAME TO tasks").await;
    let report = fixture.caught_up().await;
    assert_eq!((report.tasks, report.parked), (2, 0));
    running.stop().await;
}

/// Waits until the projector has failed with more than one batch.
async fn failed_some_times(running: &Running) {
    eventually("batches fail", async || failures(running).await > 1).await;
}

async fn failures(running: &Running) -> u64 {
    metric(running, "taskledger_projector_failures_total").await
}

pub(crate) async fn metric(running: &Running, name: &str) -> u64 {
    let (_, text) = running.get("/metrics").await;
    let sample = text.lines().find(|line| line.starts_with(name));
    sample.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_default()
}

pub(crate) async fn two_projectors_of_one_partition_do_not_disturb_each_other(fixture: Fixture) {
    // Each has its own bus, so that both believe to be active.
    let buses = [InProcessBus::new(), InProcessBus::new()];
    let mut running = Vec::new();
    for bus in &buses {
        running.push(fixture.project(1, Arc::clone(bus) as Arc<dyn bus::Bus>).await);
    }
    let (mut log, mut relay) = (Writer::new(&fixture.store), Relay::new(&fixture.store, 1));
    for number in 0..150 {
        let owner = user(number % 3);
        log.task(number, owner, created(owner, "Task")).await;
        log.task(number, owner, TaskCompleted {}).await;
        let messages = relay.messages().await;
        for bus in &buses {
            bus::Bus::publish(bus.as_ref(), &messages).await.unwrap();
        }
    }
    assert_eq!(fixture.caught_up().await.tasks, 150);
    let mut applied = 0;
    for running in running {
        applied += metric(&running, "taskledger_projector_events_applied_total").await;
        running.stop().await;
    }
    assert_eq!(applied, 300, "every event was applied by one of the two");
}

pub(crate) async fn a_row_never_goes_back_while_the_log_is_read_again(fixture: Fixture) {
    let mut log = Writer::new(&fixture.store);
    for round in 0..4 {
        for number in 0..20 {
            let owner = user(number % 3);
            if round == 0 {
                log.task(number, owner, created(owner, "Task")).await;
            } else {
                log.task(number, owner, renamed(format!("Round {round}"))).await;
            }
        }
    }
    fixture.catch_up(1).await;
    // If a row still goes back, its event is refused and parked.
    if fixture.is_postgres() {
        fixture
            .run(
                "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN RAISE check_violation USING MESSAGE = 'a row goes back'; END $$",
            )
            .await;
        fixture
            .run(
                "CREATE TRIGGER back BEFORE UPDATE ON tasks FOR EACH ROW WHEN (NEW.version < OLD.version)
                 EXECUTE FUNCTION refuse()",
            )
            .await;
    } else {
        fixture
            .run(
                "CREATE TRIGGER back BEFORE UPDATE ON tasks WHEN NEW.version < OLD.version
                 BEGIN SELECT RAISE(ABORT, 'a row goes back'); END",
            )
            .await;
    }
    fixture.run("UPDATE checkpoints SET position = 0").await;
    let report = fixture.catch_up(1).await;
    assert_eq!((report.tasks, report.audit, report.parked), (20, 80, 0));
}

pub(crate) async fn the_history_of_a_purged_task_stays_gone_while_the_log_is_read_again(fixture: Fixture) {
    let mut log = Writer::new(&fixture.store);
    let owner = user(1);
    log.task(0, owner, created(owner, "Secret")).await;
    log.task(0, owner, renamed("Still secret")).await;
    // More than a batch lies between the beginning and the purge.
    for number in 1..=20 {
        log.task(number, owner, created(owner, "Stays")).await;
    }
    log.task(0, owner, TaskDeleted {}).await;
    for number in 1..=20 {
        log.task(number, owner, renamed("Stays, too")).await;
    }
    log.task(0, owner, TaskPurged {}).await;
    fixture.catch_up(1).await;
    let positions = async || -> Vec<u64> {
        let rows = fixture.rows("SELECT position FROM task_history ORDER BY position").await;
        rows.iter().map(|row| row.unsigned("position").unwrap()).collect()
    };
    let before = positions().await;
    assert_eq!(before.len(), 41);
    for lost in ["DELETE FROM checkpoints", "UPDATE checkpoints SET position = 0, event_id = NULL"] {
        fixture.run(lost).await;
        let report = fixture.catch_up(1).await;
        assert_eq!((report.tasks, report.parked), (21, 0));
        assert_eq!(positions().await, before);
    }
}

pub(crate) async fn projectors_of_different_partition_counts_do_not_disturb_each_other(fixture: Fixture) {
    let bus = InProcessBus::new();
    let running = [fixture.project(2, bus.clone()).await, fixture.project(3, bus.clone()).await];
    let mut log = Writer::new(&fixture.store);
    let mut relays = [Relay::new(&fixture.store, 2), Relay::new(&fixture.store, 3)];
    for number in 0..100 {
        let owner = user(number % 5);
        log.task(number, owner, created(owner, "Task")).await;
        log.task(number / 2, user(number / 2 % 5), renamed(format!("Title {number}"))).await;
        for relay in &mut relays {
            relay.publish(bus.as_ref()).await;
        }
    }
    for count in [2, 3] {
        let done = format!("SELECT position FROM checkpoints WHERE partitions = {count} AND position < 200");
        eventually("both have projected everything", async || fixture.rows(&done).await.is_empty()).await;
    }
    let report = fixture.caught_up().await;
    assert_eq!((report.tasks, report.parked), (100, 0));
    for running in running {
        running.stop().await;
    }
}

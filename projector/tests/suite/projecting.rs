//! Signals, metrics, restarts, and other numbers of partitions.

use bus::InProcessBus;
use events::TaskCompleted;

use super::{
    fixture::{Fixture, eventually, partitions, readiness},
    relay::Relay,
    writer::{Writer, created, renamed, user},
};

pub(crate) async fn checkpoints_are_signalled(fixture: Fixture) {
    let bus = InProcessBus::new();
    let running = fixture.project(4, bus.clone()).await;
    let mut signals = fixture.read_models.signals("taskledger_checkpoints");
    let mut log = Writer::new(&fixture.store);
    if fixture.is_postgres() {
        // The first result says that it listens from now on.
        assert_eq!(signals.next().await, None);
    }
    let position = log.task(1, user(1), created(user(1), "One")).await;
    Relay::new(&fixture.store, 4).publish(bus.as_ref()).await;
    let expected = format!("4 {} {position}", partitions(4).of(user(1)));
    let heard = async { while signals.next().await.as_ref() != Some(&expected) {} };
    tokio::time::timeout(std::time::Duration::from_secs(10), heard).await.expect("a signal");
    running.stop().await;
}

pub(crate) async fn metrics_and_probes_answer(fixture: Fixture) {
    let mut log = Writer::new(&fixture.store);
    for number in 0..40 {
        log.task(number, user(number % 3), created(user(number % 3), "One of many")).await;
    }
    let running = fixture.project(2, InProcessBus::new()).await;
    fixture.caught_up().await;
    eventually("it is ready", async || readiness(&running).await.contains(r#""status":"ready""#)).await;
    eventually("the metrics say so", async || {
        let (_, metrics) = running.get("/metrics").await;
        let has = |line: &str| metrics.lines().any(|found| found == line);
        has(r#"taskledger_projector_checkpoint{partition="0",role="projector"} 40"#)
            && has(r#"taskledger_projector_lag_events{partition="1",role="projector"} 0"#)
            && has(r#"taskledger_projector_events_applied_total{role="projector"} 40"#)
            && has(r#"taskledger_projector_parked_events{role="projector"} 0"#)
            && has(r#"taskledger_projector_gaps_repaired_total{role="projector"} 0"#)
            && metrics.contains("taskledger_projector_batch_duration_seconds_count")
    })
    .await;
    running.stop().await;
}

pub(crate) async fn a_restart_goes_on_where_it_was(fixture: Fixture) {
    let mut log = Writer::new(&fixture.store);
    let bus = InProcessBus::new();
    let mut relay = Relay::new(&fixture.store, 4);
    for round in 0..5 {
        let running = fixture.project(4, bus.clone()).await;
        for number in 0..20 {
            let owner = user(number % 5);
            log.task(round * 100 + number, owner, created(owner, "Before")).await;
        }
        relay.publish(bus.as_ref()).await;
        running.stop().await;
        for number in 0..20 {
            log.task(round * 100 + number, user(number % 5), TaskCompleted {}).await;
        }
        relay.publish(bus.as_ref()).await;
    }
    assert_eq!(fixture.catch_up(4).await.tasks, 100);
}

pub(crate) async fn the_number_of_partitions_may_change(fixture: Fixture) {
    let mut log = Writer::new(&fixture.store);
    for (round, count) in [4, 3, 8, 4, 1, 16].into_iter().enumerate() {
        for number in 0..30 {
            let owner = user(number % 7);
            if round == 0 {
                log.task(number, owner, created(owner, "Task")).await;
            } else {
                log.task(number, owner, renamed(format!("Round {round}"))).await;
            }
        }
        let report = fixture.catch_up(count).await;
        assert_eq!((report.tasks, report.audit), (30, 30 * (round as u64 + 1)));
    }
    let lowest =
        fixture.rows("SELECT MIN(position) AS position FROM checkpoints WHERE partitions = 16").await;
    assert_eq!(lowest[0].unsigned("position").unwrap(), 180);
}

pub(crate) async fn tasks_from_before_there_were_grams_are_filled(fixture: Fixture) {
    let mut log = Writer::new(&fixture.store);
    let owner = user(1);
    for number in 0..250 {
        log.task(number, owner, created(owner, "Straße")).await;
    }
    fixture.catch_up(2).await;
    fixture.run("UPDATE tasks SET grams = NULL").await;
    let running = fixture.project(2, InProcessBus::new()).await;
    eventually("every task has grams", async || {
        fixture.rows("SELECT id FROM tasks WHERE grams IS NULL LIMIT 1").await.is_empty()
    })
    .await;
    // The same as if they had been projected.
    fixture.caught_up().await;
    running.stop().await;
}

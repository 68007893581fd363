//! A bus that delivers nothing, or the wrong messages: the log is read instead.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use bus::{Bus, InProcessBus};
use events::TaskCompleted;
use projector::Tuning;
use test_support::{FaultyBus, FaultyStore};

use super::{
    fixture::{Fixture, eventually, pace, readiness},
    relay::Relay,
    writer::{Writer, created, user},
};

pub(crate) async fn a_projector_works_from_the_store_alone(fixture: Fixture) {
    let bus = FaultyBus::new();
    bus.down.store(true, Ordering::SeqCst);
    let running = fixture.project(4, bus.clone()).await;
    let mut log = Writer::new(&fixture.store);
    for number in 0..40 {
        log.task(number, user(number % 7), created(user(number % 7), "Task")).await;
    }
    let report = fixture.caught_up().await;
    assert_eq!((report.tasks, report.parked), (40, 0));
    eventually("it keeps asking for the bus", async || bus.consumes.load(Ordering::SeqCst) > 8).await;
    running.stop().await;
}

/// Old messages arrive so steadily that the bus is never silent.
pub(crate) async fn a_trickle_of_old_messages_does_not_keep_it_from_the_log(fixture: Fixture) {
    let bus = InProcessBus::new();
    let running = fixture.project(1, bus.clone()).await;
    let (mut log, mut relay) = (Writer::new(&fixture.store), Relay::new(&fixture.store, 1));
    for number in 0..20 {
        log.task(number, user(1), created(user(1), "Task")).await;
    }
    let old = relay.messages().await;
    let trickle = tokio::spawn(async move {
        loop {
            for message in &old {
                bus.publish(std::slice::from_ref(message)).await.unwrap();
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
    });
    for number in 0..20 {
        log.task(number, user(1), TaskCompleted {}).await;
    }
    eventually("everything is projected", async || fixture.count("tasks WHERE status = 'done'").await == 20)
        .await;
    trickle.abort();
    fixture.caught_up().await;
    running.stop().await;
}

/// A log that grows faster than it is read.
pub(crate) async fn a_log_without_an_end_is_looked_at_again_and_again(fixture: Fixture) {
    const PAGE: usize = 4;
    let store = FaultyStore::over(fixture.store.clone());
    let fixture = fixture.over(store.clone());
    let pace = Tuning { page: PAGE, heartbeat: Duration::from_millis(200), ..pace() };
    let running = fixture.project_at_pace(pace, 1, InProcessBus::new()).await;
    fixture.caught_up().await;
    *store.page_takes.lock().unwrap() = Duration::from_millis(100);
    let mut log = Writer::new(&fixture.store);
    let since = Instant::now();
    let (mut number, mut says) = (0, String::new());
    // On a busy machine it may be looked at late, but not never.
    while since.elapsed() < Duration::from_secs(5) || says.contains("has not been looked at") {
        assert!(since.elapsed() < Duration::from_secs(15), "{says}");
        for _ in 0..2 * PAGE {
            log.task(number, user(1), created(user(1), "Task")).await;
            number += 1;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        says = readiness(&running).await;
    }
    *store.page_takes.lock().unwrap() = Duration::ZERO;
    fixture.caught_up().await;
    running.stop().await;
}

/// A process that stops right after the last event leaves no partition behind.
pub(crate) async fn an_orderly_end_leaves_every_partition_at_the_end_of_the_log(fixture: Fixture) {
    // So slow that idle partitions are not checked before the end.
    let slow = Tuning { heartbeat: Duration::from_secs(600), ..pace() };
    let mut relay = Relay::new(&fixture.store, 8);
    for round in 0..3 {
        let bus = InProcessBus::new();
        let running = fixture.project_at_pace(slow, 8, bus.clone()).await;
        let mut log = Writer::new(&fixture.store);
        let owner = user(100 + round);
        for number in 0..5 {
            log.task(round * 10 + number, owner, created(owner, "Task")).await;
        }
        let wanted = u64::try_from(round + 1).unwrap() * 5;
        let messages = relay.messages().await;
        eventually("the tasks are there", async || {
            // Before there is a consumer the bus drops them.
            bus.publish(&messages).await.unwrap();
            fixture.count("tasks").await == wanted
        })
        .await;
        running.stop().await;
        let report = fixture.report().await;
        assert_eq!((report.behind, report.differences), (0, vec![]));
    }
}

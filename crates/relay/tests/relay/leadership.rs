//! One relay of several is active, and another takes over from it.

use std::{sync::atomic::Ordering, time::Duration};

use test_support::{FaultyBus, FaultyStore, Footing, eventually, on_both_footings};

use super::{
    publishing::{is_log, without_repeats},
    support::Fixture,
};

async fn one_of_two_is_active_and_the_other_takes_over(footing: Footing) {
    let fixture = Fixture::new(footing).await;
    let one = fixture.start().await;
    eventually("the first leads", async || one.leads()).await;
    let two = fixture.start().await;
    two.append_about(1..13).await;
    fixture.has_published(12).await;
    is_log(&fixture.bus.published(), 1, 12);
    assert!(!two.leads());
    one.stop().await;
    eventually("the second leads", async || two.leads()).await;
    two.append_about(1..13).await;
    fixture.has_published(24).await;
    is_log(&without_repeats(fixture.bus.published()), 1, 24);
}

async fn a_relay_that_is_cut_off_from_the_bus_leaves_it_to_another(footing: Footing) {
    let mut fixture = Fixture::new(footing).await;
    let one = fixture.start().await;
    eventually("the first leads", async || one.leads()).await;
    let cut_off = std::mem::replace(&mut fixture.bus, FaultyBus::new());
    let two = fixture.start().await;
    cut_off.down.store(true, Ordering::SeqCst);
    one.append_about(1..13).await;
    eventually("the second leads", async || two.leads()).await;
    fixture.has_published(12).await;
    is_log(&without_repeats(fixture.bus.published()), 1, 12);
    two.has_saved(12).await;
    // Whoever is still cut off does not stand when the other goes, and does once it has the bus again.
    two.stop().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!one.leads());
    for lag in ["taskledger_relay_lag_events", "taskledger_relay_lag_seconds"] {
        assert_eq!(one.metric(lag), 0.0, "{lag} of who does not publish");
    }
    cut_off.down.store(false, Ordering::SeqCst);
    eventually("the first leads again", async || one.leads()).await;
    one.append_about(1..5).await;
    eventually("the rest is published", async || cut_off.published_positions().len() >= 4).await;
    is_log(&without_repeats(cut_off.published()), 13, 16);
}

async fn a_relay_that_cannot_read_the_log_leaves_it_to_another(footing: Footing) {
    let fixture = Fixture::new(footing).await;
    let faulty = FaultyStore::over(fixture.storage.event_store().await);
    let one = fixture.start_over(faulty.clone()).await;
    eventually("the first leads", async || one.leads()).await;
    let two = fixture.start().await;
    faulty.subscriptions_hang.store(true, Ordering::SeqCst);
    faulty.down.store(true, Ordering::SeqCst);
    two.append_about(1..13).await;
    eventually("the second leads", async || two.leads()).await;
    fixture.has_published(12).await;
    // Whoever still cannot read it does not stand when the other goes, and does once it can.
    two.stop().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!one.leads());
    faulty.down.store(false, Ordering::SeqCst);
    faulty.subscriptions_hang.store(false, Ordering::SeqCst);
    eventually("the first leads again", async || one.leads()).await;
}

on_both_footings!(
    a_relay_that_cannot_read_the_log_leaves_it_to_another,
    one_of_two_is_active_and_the_other_takes_over,
    a_relay_that_is_cut_off_from_the_bus_leaves_it_to_another,
);

#[tokio::test(flavor = "multi_thread")]
async fn postgres_a_relay_whose_lock_is_lost_steps_down_and_another_takes_over() {
    let fixture = Fixture::new(Footing::Postgres).await;
    let one = fixture.start().await;
    eventually("the first leads", async || one.leads()).await;
    let two = fixture.start().await;
    two.append_about(1..13).await;
    fixture.has_published(12).await;
    // The connection that holds the lock dies.
    one.operations
        .fetch_all(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 \
             AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
            &[],
        )
        .await
        .unwrap();
    eventually("one of them leads again", async || {
        let holders = holders_of_the_lock(&fixture).await;
        one.leads() != two.leads() && holders == 1
    })
    .await;
    two.append_about(1..13).await;
    eventually("the whole log is published", async || {
        fixture.bus.published_positions() == (1..=24).collect::<Vec<_>>()
    })
    .await;
}

async fn holders_of_the_lock(fixture: &Fixture) -> u64 {
    let operations = fixture.storage.operations().await;
    let rows = operations
        .fetch_all(
            "SELECT count(*) AS n FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND granted \
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
             AND classid::bigint << 32 | objid::bigint = 23727814277349721",
            &[],
        )
        .await
        .unwrap();
    let holders = rows[0].unsigned("n").unwrap();
    operations.close().await;
    holders
}

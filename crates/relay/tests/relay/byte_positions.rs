//! A log in KurrentDB, whose positions count bytes: the relay is as many events behind as there are, and not as many
//! bytes.

use std::sync::{Arc, atomic::Ordering};

use kurrentdb_stand_in::StandIn;
use test_support::{FaultyStore, Footing, eventually};

use super::{
    publishing::fill,
    support::{Fixture, Replica},
};

/// A log of its own on `server`.
async fn log(server: &StandIn) -> Arc<FaultyStore> {
    let url = format!("kurrentdb://{}?tls=false&streamPrefix=ours.", server.address());
    FaultyStore::over(event_store::open(&url, 1).await.unwrap())
}

/// Waits until the relay knows that it is more than `events` behind, and lets it read on.
async fn read_on_when_behind(replica: &Replica, store: &FaultyStore, events: f64) {
    eventually("the relay knows the end of the log", async || {
        replica.metric("taskledger_relay_lag_events") > events
    })
    .await;
    store.subscriptions_hang.store(false, Ordering::SeqCst);
}

/// The log is 100 events long and more than 100,000 bytes.
#[tokio::test(flavor = "multi_thread")]
async fn a_short_log_is_published_however_many_bytes_it_has() {
    let server = StandIn::start();
    let fixture = Fixture::new(Footing::Sqlite).await;
    let store = log(&server).await;
    fill(&*store, 100).await;
    store.subscriptions_hang.store(true, Ordering::SeqCst);
    let replica = fixture.start_over(store.clone()).await;
    read_on_when_behind(&replica, &store, 0.0).await;
    fixture.has_published(100).await;
    assert_eq!(replica.metric("taskledger_relay_skipped_total"), 0.0);
}

/// Others have written 30 MiB between two events.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_skipped_is_counted_in_events() {
    let server = StandIn::start();
    let fixture = Fixture::new(Footing::Sqlite).await;
    let store = log(&server).await;
    let replica = fixture.start_over(store.clone()).await;
    replica.append_about(1..2).await;
    fixture.has_published(1).await;
    store.subscriptions_hang.store(true, Ordering::SeqCst);
    server.others_append("orders-1", 30, 1 << 20);
    replica.append_about(2..3).await;
    read_on_when_behind(&replica, &store, 20_000.0).await;
    eventually("it goes on at the end of the log", async || {
        replica.metric("taskledger_relay_skipped_total") > 0.0
    })
    .await;
    let skipped = replica.metric("taskledger_relay_skipped_total");
    assert!((20_000.0..50_000.0).contains(&skipped), "{skipped}");
}

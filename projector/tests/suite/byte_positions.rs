//! A log in KurrentDB, whose positions count bytes: a partition is as many events behind as there are, and not as many
//! bytes.

use std::time::Duration;

use bus::{Bus, InProcessBus};
use kurrentdb_stand_in::StandIn;
use projector::Tuning;

use super::suite::{
    faults::metric,
    fixture::{Fixture, eventually, pace},
    relay::Relay,
    writer::{Writer, created, user},
};

/// The events of the gap take tens of thousands of bytes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gap_of_a_few_events_is_filled_before_the_log_is_looked_at_again() {
    let server = StandIn::start();
    let url = format!("kurrentdb://{}?tls=false", server.address());
    let store = event_store::open(&url, 1).await.unwrap();
    let fixture = Fixture::sqlite().await.over(store);
    let bus = InProcessBus::new();
    let once = Tuning { heartbeat: Duration::from_secs(3_600), ..pace() };
    let running = fixture.project_at_pace(once, 1, bus.clone()).await;
    eventually("the log was looked at while it was empty", async || {
        metric(&running, "taskledger_projector_bus_connected").await == 1
    })
    .await;
    let mut log = Writer::new(&fixture.store);
    for number in 0..30 {
        log.task(number, user(1), created(user(1), "Task")).await;
    }
    let messages = Relay::new(&fixture.store, 1).messages().await;
    eventually("the lost messages are read from the log", async || {
        // Before there is a consumer the bus drops it.
        bus.publish(&messages[29..]).await.unwrap();
        fixture.count("tasks").await == 30
    })
    .await;
    running.stop().await;
}

//! The bus inside one process keeps every promise, and bounds its queues.

#![expect(clippy::disallowed_methods, reason = "tests make ids and start tasks as they like")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod conformance;

use std::sync::Arc;

use async_trait::async_trait;
use bus::{Bus, Heard, InProcessBus, MAX_WAITING};
use conformance::{TestBroker, four, messages, positions, read, soon};

struct InProcess(Arc<InProcessBus>);

#[async_trait]
impl TestBroker for InProcess {
    async fn bus(&self) -> Arc<dyn Bus> {
        self.0.clone()
    }

    fn bytes_kept(&self) -> usize {
        4 * 1024 * 1024
    }
}

async fn with(test: impl AsyncFnOnce(&dyn TestBroker)) {
    test(&InProcess(InProcessBus::new())).await;
}

conformance!(crate::with);

#[tokio::test]
async fn a_queue_that_nobody_reads_drops_the_oldest() {
    let bus = InProcessBus::new();
    let mut consumer = bus.consume(four(), 0).await.unwrap();
    let published = u64::from(MAX_WAITING);
    bus.publish(&messages(0, 1..=published)).await.unwrap();
    // Small messages count with their overhead, which is larger than their payloads.
    let dropped = bus.counts().dropped;
    assert!(dropped > published / 2 && dropped < published, "{dropped}");
    assert_eq!(positions(&read(&mut *consumer, 2).await), [dropped + 1, dropped + 2]);
}

#[tokio::test]
async fn a_listener_that_falls_behind_hears_a_gap_and_goes_on() {
    let bus = InProcessBus::new();
    let mut listener = bus.listen("news").await.unwrap();
    for n in 0..5_000 {
        bus.broadcast("news", format!("{n}").into()).await.unwrap();
    }
    assert_eq!(soon("the gap", listener.next()).await, Heard::Gap);
    let Heard::Message(mut last) = soon("a broadcast", listener.next()).await else {
        panic!("one gap is enough")
    };
    while last != "4999" {
        let Heard::Message(next) = soon("a broadcast", listener.next()).await else {
            panic!("one gap is enough")
        };
        last = next;
    }
}

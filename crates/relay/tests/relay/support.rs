//! Replicas of the relay over one log, and events for it.

use std::{ops::Range, sync::Arc, time::Duration};

use database::Database;
use event_store::EventStore;
use events::{NewEvent, PartitionCount, StreamName, TaskId, UserId};
use relay::{Election, Relay, RelayMetrics, RelayProgress};
use runtime::{Background, Metrics};
use test_support::{FaultyBus, Footing, TestStorage, eventually, new_event};
use uuid::Uuid;

/// What the replicas of one test share.
pub(crate) struct Fixture {
    pub(crate) storage: TestStorage,
    pub(crate) bus: Arc<FaultyBus>,
}

/// One process with a relay.
pub(crate) struct Replica {
    pub(crate) store: Arc<dyn EventStore>,
    pub(crate) operations: Database,
    metrics: Metrics,
    background: Background,
}

pub(crate) fn partitions() -> PartitionCount {
    PartitionCount::new(4).unwrap()
}

/// The n-th person.
pub(crate) fn user(n: u128) -> UserId {
    UserId(Uuid::from_u128(0x0190_f5a2_0000_7000_8000_0000_0000_0000 + n))
}

impl Fixture {
    pub(crate) async fn new(footing: Footing) -> Self {
        Self { storage: TestStorage::new(footing).await, bus: FaultyBus::new() }
    }

    pub(crate) async fn start(&self) -> Replica {
        self.start_over(self.storage.event_store().await).await
    }

    /// As [`Self::start`], with another way to the log.
    pub(crate) async fn start_over(&self, store: Arc<dyn EventStore>) -> Replica {
        let operations = self.storage.operations().await;
        let (metrics, background) = (Metrics::new("relay"), Background::new());
        let relay = Relay {
            store: Arc::clone(&store),
            bus: Arc::clone(&self.bus) as _,
            progress: RelayProgress::new(operations.clone()),
            election: Election::new(&operations),
            partitions: partitions(),
            metrics: RelayMetrics::new(&metrics),
        };
        background.spawn("relay", relay.run(background.stop()));
        Replica { store, operations, metrics, background }
    }

    /// Waits until this many events were published.
    pub(crate) async fn has_published(&self, count: usize) {
        let published = async || self.bus.published_positions().len() >= count;
        eventually("everything is published", published).await;
    }
}

impl Replica {
    /// Appends an event about each of these people, to a stream of its own.
    pub(crate) async fn append_about(&self, people: Range<u128>) {
        for number in people {
            let stream = StreamName::task(TaskId(Uuid::now_v7()));
            let event = an_event_about(user(number));
            self.store.append(&stream, 0, vec![event]).await.unwrap();
        }
    }

    /// The value of a metric.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let text = self.metrics.encode();
        let line = text
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_else(|| panic!("no {name} in\n{text}"));
        line.rsplit_once(' ').unwrap().1.parse().unwrap()
    }

    pub(crate) fn leads(&self) -> bool {
        self.metric("taskledger_relay_active") == 1.0
    }

    /// Waits until all of the log up to this position is published, and saved as that.
    pub(crate) async fn has_saved(&self, position: i64) {
        let saved = async || {
            let rows = self.operations.fetch_all("SELECT read_up_to FROM relay_progress", &[]).await.unwrap();
            let mut reached = rows.iter().map(|row| row.integer("read_up_to").unwrap());
            rows.len() == 4 && reached.all(|reached| reached == position)
        };
        eventually("progress is saved", saved).await;
    }

    pub(crate) async fn stop(self) {
        assert!(self.background.shut_down(Duration::from_secs(60)).await);
        self.operations.close().await;
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.background.stop().cancel();
    }
}

pub(crate) fn an_event_about(subject: UserId) -> NewEvent {
    new_event(subject, "{}")
}

//! Publishes the log on a bus as the relay does.

use std::sync::Arc;

use bus::{Bus, EventMessage};
use event_store::EventStore;
use test_support::read_all;

use super::fixture::partitions;

/// A relay that has published everything up to a position.
pub(crate) struct Relay {
    store: Arc<dyn EventStore>,
    count: u16,
    published: u64,
    previous: Vec<u64>,
}

impl Relay {
    pub(crate) fn new(store: &Arc<dyn EventStore>, count: u16) -> Self {
        Self { store: store.clone(), count, published: 0, previous: vec![0; usize::from(count)] }
    }

    /// The messages of all new events in the log.
    pub(crate) async fn messages(&mut self) -> Vec<EventMessage> {
        let events = read_all(&*self.store, self.published, 100_000).await;
        let partitions = partitions(self.count);
        let message = |event: events::RecordedEvent| {
            let partition = partitions.of(event.metadata.subject);
            let position = event.position;
            let previous = std::mem::replace(&mut self.previous[usize::from(partition)], position);
            self.published = position;
            EventMessage { event, partitions, partition, previous }
        };
        events.into_iter().map(message).collect()
    }

    pub(crate) async fn publish(&mut self, bus: &dyn Bus) {
        let messages = self.messages().await;
        bus.publish(&messages).await.unwrap();
    }
}

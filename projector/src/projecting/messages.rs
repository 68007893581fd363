//! The messages of one partition. Until the bus can be consumed there are none, and the log reader delivers all
//! events.

use std::sync::Arc;

use bus::{Bus, EventConsumer, EventMessage};
use events::PartitionCount;
use futures::{FutureExt as _, future::BoxFuture};
use runtime::Backoff;

use crate::tuning::Tuning;

pub(crate) struct Messages(State);

enum State {
    Opening(BoxFuture<'static, Box<dyn EventConsumer>>),
    Open(Box<dyn EventConsumer>),
}

impl Messages {
    pub(crate) fn new(bus: Arc<dyn Bus>, partitions: PartitionCount, partition: u16, tuning: Tuning) -> Self {
        Self(State::Opening(open(bus, partitions, partition, tuning).boxed()))
    }

    /// Waits for at least one message. Cancelling loses no message.
    pub(crate) async fn next(&mut self, max: usize) -> Vec<EventMessage> {
        loop {
            match &mut self.0 {
                State::Opening(opening) => self.0 = State::Open(opening.await),
                State::Open(consumer) => return consumer.next(max).await,
            }
        }
    }

    /// The messages that have arrived already.
    pub(crate) fn arrived(&mut self, max: usize) -> Vec<EventMessage> {
        if max == 0 {
            return Vec::new();
        }
        self.next(max).now_or_never().unwrap_or_default()
    }

    pub(crate) async fn acknowledge(&mut self) {
        if let State::Open(consumer) = &mut self.0 {
            consumer.acknowledge().await;
        }
    }
}

async fn open(
    bus: Arc<dyn Bus>,
    partitions: PartitionCount,
    partition: u16,
    tuning: Tuning,
) -> Box<dyn EventConsumer> {
    let mut backoff = Backoff::new(tuning.shortest_pause, tuning.longest_pause);
    loop {
        match bus.consume(partitions, partition).await {
            Ok(consumer) => return consumer,
            Err(error) => {
                tracing::warn!(
                    partition,
                    %error,
                    "cannot consume from the message bus yet: the log is read instead"
                );
                backoff.wait().await;
            }
        }
    }
}

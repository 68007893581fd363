//! Consumes one partition's queue.

use std::{collections::VecDeque, sync::Arc};

use async_trait::async_trait;
use events::PartitionCount;
use lapin::{
    Acker, ExchangeKind,
    message::Delivery,
    options::{BasicConsumeOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};

use super::{
    cloud_event, cloud_event_batch,
    connection::BrokerConnection,
    names::Names,
    subscription::{Source, Subscription},
    topology::{Binding, Queue},
};
use crate::{BusError, EventConsumer, EventMessage, MAX_UNACKNOWLEDGED, MAX_WAITING};

/// A queue without consumers is deleted after this time. The store has its events.
const EXPIRES_MS: i64 = 24 * 60 * 60 * 1_000;

/// The most bytes of messages that wait in the queue of a partition. A consumer that is further behind reads the
/// store.
const MAX_WAITING_BYTES: i64 = 32 * 1024 * 1024;

/// A batch with at least this many bytes is not extended.
const MAX_BATCH_BYTES: usize = 4 * 1024 * 1024;

/// The highest delivery limit. RabbitMQ 4 drops a message after 20 deliveries by default, and 3.10 cannot disable the
/// limit.
const DELIVERY_LIMIT: i64 = 1_000_000;

/// The consumer of one partition.
#[derive(Debug)]
pub(super) struct PartitionConsumer {
    partitions: PartitionCount,
    partition: u16,
    subscription: Subscription,
    /// What was delivered and not returned yet.
    held: VecDeque<Held>,
    /// The acknowledger of the last message of which all events were returned, until it is acknowledged.
    last: Option<Acker>,
}

/// An event of a message, or what is left of a message without one.
#[derive(Debug)]
struct Held {
    event: Option<EventMessage>,
    /// The acknowledger of the message, with its last event.
    acker: Option<Acker>,
}

impl PartitionConsumer {
    pub(super) async fn open(
        connection: Arc<BrokerConnection>,
        names: &Names,
        partitions: PartitionCount,
        partition: u16,
    ) -> Result<Self, BusError> {
        let queue = partition_queue(names, partitions, partition)?;
        let source = Source {
            connection,
            queue: Box::new(move || queue.clone()),
            prefetch: Some(MAX_UNACKNOWLEDGED),
            options: BasicConsumeOptions::default(),
        };
        let subscription = Subscription::open(source).await?;
        Ok(Self { partitions, partition, subscription, held: VecDeque::new(), last: None })
    }

    /// Holds the events of a delivery.
    fn hold(&mut self, Delivery { properties, data, acker, .. }: Delivery) {
        let read = match cloud_event_batch::is_batch(&properties) {
            true => cloud_event_batch::read(&data).unwrap_or_else(|reason| vec![Err(reason)]),
            false => vec![cloud_event::read(&properties, data)],
        };
        let events = read.into_iter().filter_map(|event| self.own(event));
        let mut events: Vec<_> = events.map(|event| Held { event: Some(event), acker: None }).collect();
        match events.last_mut() {
            Some(last) => last.acker = Some(acker),
            None => events.push(Held { event: None, acker: Some(acker) }),
        }
        self.held.extend(events);
    }

    /// The event, if it is one of this partition.
    fn own(&self, event: Result<EventMessage, String>) -> Option<EventMessage> {
        match event {
            Ok(message) if message.partitions == self.partitions && message.partition == self.partition => {
                Some(message)
            }
            Ok(message) => {
                let partitions = message.partitions.get();
                tracing::debug!(
                    partition = self.partition,
                    partitions,
                    "skipped an event of another partitioning"
                );
                None
            }
            Err(reason) => {
                tracing::warn!(partition = self.partition, reason, "skipped a message that is not an event");
                None
            }
        }
    }
}

#[async_trait]
impl EventConsumer for PartitionConsumer {
    async fn next(&mut self, max: usize) -> Vec<EventMessage> {
        let max = max.max(1);
        loop {
            if self.held.is_empty() {
                let Some(first) = self.subscription.next().await else {
                    // Delivery tags of the old subscription are invalid.
                    self.last = None;
                    continue;
                };
                self.hold(first);
            }
            // From here on it waits only while there is nothing to return, so cancelling loses no message.
            let mut messages = Vec::new();
            let mut ackers = Vec::new();
            let mut bytes = 0;
            while messages.len() < max && bytes < MAX_BATCH_BYTES {
                let Some(Held { event, acker }) = self.held.pop_front() else {
                    match self.subscription.arrived() {
                        Some(delivery) => self.hold(delivery),
                        None => break,
                    }
                    continue;
                };
                bytes += event.as_ref().map_or(0, |message| message.event.data.len());
                messages.extend(event);
                ackers.extend(acker);
            }
            if !messages.is_empty() {
                // Acknowledging the last message acknowledges all before it, including skipped ones.
                self.last = ackers.pop().or(self.last.take());
                return messages;
            }
            for skipped in ackers {
                self.subscription.acknowledge(&skipped, false).await;
            }
        }
    }

    async fn acknowledge(&mut self) {
        if let Some(last) = self.last.take() {
            self.subscription.acknowledge(&last, true).await;
        }
    }
}

/// The queue of a partition, with its exchange and binding.
pub(super) fn partition_queue(
    names: &Names,
    partitions: PartitionCount,
    partition: u16,
) -> Result<Queue, BusError> {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    arguments.insert("x-single-active-consumer".into(), AMQPValue::Boolean(true));
    let messages = AMQPValue::LongLongInt(i64::from(MAX_WAITING));
    arguments.insert("x-max-length".into(), messages);
    let bytes = AMQPValue::LongLongInt(MAX_WAITING_BYTES);
    arguments.insert("x-max-length-bytes".into(), bytes);
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(DELIVERY_LIMIT));
    arguments.insert("x-expires".into(), AMQPValue::LongLongInt(EXPIRES_MS));
    Ok(Queue {
        name: names.partition(partitions, partition)?,
        options: QueueDeclareOptions::durable(),
        arguments,
        binding: Binding {
            exchange: names.events()?,
            kind: ExchangeKind::Topic,
            key: format!("{partition}.#").into(),
            left_missing: None,
        },
    })
}

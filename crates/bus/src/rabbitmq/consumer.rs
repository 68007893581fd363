//! Consumes one partition's queue.

use std::sync::Arc;

use async_trait::async_trait;
use events::PartitionCount;
use lapin::{
    Acker, BasicProperties, ExchangeKind,
    message::Delivery,
    options::{BasicConsumeOptions, BasicQosOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable, ShortString},
};

use super::{
    cloud_event,
    line::Deliveries,
    link::Link,
    names::Names,
    subscription::{Subscribe, Subscription},
};
use crate::{BusError, EventConsumer, EventMessage, MAX_UNACKNOWLEDGED, MAX_WAITING};

/// A queue without consumers for so long goes away. What was in it is in the store.
const EXPIRES_MS: i64 = 24 * 60 * 60 * 1_000;

/// RabbitMQ 4 drops a message after 20 deliveries unless told otherwise, and 3.10 knows no "never".
const DELIVERY_LIMIT: i64 = 1_000_000;

/// The consumer of one partition.
#[derive(Debug)]
pub(super) struct PartitionConsumer {
    partitions: PartitionCount,
    partition: u16,
    subscription: Subscription,
    /// Of the last message returned and not acknowledged yet.
    last: Option<Acker>,
}

impl PartitionConsumer {
    pub(super) async fn open(
        link: Arc<Link>,
        names: Names,
        partitions: PartitionCount,
        partition: u16,
    ) -> Result<Self, BusError> {
        let exchange = names.events()?;
        let queue = names.partition(partitions, partition)?;
        let subscribe: Arc<Subscribe> = Arc::new(move || {
            Box::pin(subscribe(
                Arc::clone(&link),
                exchange.clone(),
                queue.clone(),
                partition,
            ))
        });
        Ok(Self {
            partitions,
            partition,
            subscription: Subscription::open(subscribe).await?,
            last: None,
        })
    }

    fn read(&self, properties: &BasicProperties, body: Vec<u8>) -> Option<EventMessage> {
        match cloud_event::read(properties, body) {
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
                tracing::warn!(
                    partition = self.partition,
                    reason,
                    "skipped a message that is not an event"
                );
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
            let Some(first) = self.subscription.next().await else {
                // The tags of the old subscription mean nothing any more.
                self.last = None;
                continue;
            };
            // Nothing below waits unless it has nothing to return, so cancelling loses nothing.
            let mut next = Some(first);
            let mut messages = Vec::new();
            let mut ackers = Vec::new();
            while let Some(Delivery {
                properties,
                data,
                acker,
                ..
            }) = next.take()
            {
                ackers.push(acker);
                messages.extend(self.read(&properties, data));
                if messages.len() < max {
                    next = self.subscription.arrived();
                }
            }
            if !messages.is_empty() {
                // Acknowledging the last acknowledges everything before it, also what was skipped.
                self.last = ackers.pop();
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

/// Declares the queue and starts to consume it.
async fn subscribe(
    link: Arc<Link>,
    exchange: ShortString,
    queue: ShortString,
    partition: u16,
) -> Result<Deliveries, BusError> {
    let line = link.line().await?;
    let channel = line.channel();
    line.declare(&exchange, ExchangeKind::Topic).await?;
    line.wait(channel.queue_declare(queue.clone(), QueueDeclareOptions::durable(), queue_arguments()))
        .await?;
    let (key, bind) = (
        ShortString::from(format!("{partition}.#")),
        QueueBindOptions::default(),
    );
    line.wait(channel.queue_bind(queue.clone(), exchange, key, bind, FieldTable::default()))
        .await?;
    line.wait(channel.basic_qos(MAX_UNACKNOWLEDGED, BasicQosOptions::default()))
        .await?;
    line.consume(queue, BasicConsumeOptions::default()).await
}

fn queue_arguments() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    arguments.insert("x-single-active-consumer".into(), AMQPValue::Boolean(true));
    arguments.insert(
        "x-max-length".into(),
        AMQPValue::LongLongInt(i64::from(MAX_WAITING)),
    );
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(DELIVERY_LIMIT));
    arguments.insert("x-expires".into(), AMQPValue::LongLongInt(EXPIRES_MS));
    arguments
}

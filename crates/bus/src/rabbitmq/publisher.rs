//! Publishes events and broadcasts, and waits until the broker has confirmed each of them.
//!
//! Each partition has its own channel, so that missing confirms or a closed channel do not affect other partitions.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    mem, slice,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use dashmap::DashMap;
use events::PartitionCount;
use futures::future::{self, BoxFuture};
use lapin::{
    BasicProperties, Confirmation, ExchangeKind, PublisherConfirm, options::ConfirmSelectOptions,
    types::ShortString,
};
use tokio::sync::Mutex;

use super::{
    channel::BrokerChannel,
    cloud_event, cloud_event_batch,
    connection::BrokerConnection,
    consumer::partition_queue,
    names::Names,
    timing::BROKER_TIMEOUT,
    topology::{NOT_FOUND, declare_exchange},
};
use crate::{BusError, EventMessage, Refusal};

/// As many events at once are sent in batches, since the broker needs as long for a batch as for one event. Fewer are
/// sent one by one: then each has its own routing key, and attributes in headers.
const MANY: usize = 16;
/// The most events that are sent over a channel before their confirms are awaited. Each batch has its own deadline.
const BATCH: usize = 1_000;
/// The slowest accepted broker: a batch gets the usual time limit and one more second for each this many bytes.
const BYTES_PER_SECOND: u64 = 128 * 1024;
/// How long no queue is looked for after messages of a partition reached none.
const LEFT_ALONE: Duration = Duration::from_secs(1);

/// The number of partitions, and one of them.
type Key = (PartitionCount, u16);

/// The publishing side of the bus.
#[derive(Debug)]
pub(super) struct Publisher {
    connection: Arc<BrokerConnection>,
    names: Names,
    partitions: DashMap<(u16, u16), Arc<Mutex<Open>>>,
    broadcasts: Mutex<Open>,
}

/// A channel in confirm mode, once one is open.
#[derive(Debug, Default)]
struct Open {
    channel: Option<BrokerChannel>,
    /// When messages of this partition last reached no queue, because there is none.
    unclaimed: Option<Instant>,
}

/// The result of sending a batch.
#[derive(Debug)]
struct Outcome {
    refused: Vec<Refusal>,
    /// Whether some message reached no queue.
    returned: bool,
}

/// A message of the broker, ready to be sent, and the events in it.
struct Ready<'a> {
    events: &'a [&'a EventMessage],
    key: ShortString,
    properties: BasicProperties,
    body: Cow<'a, [u8]>,
}

impl Publisher {
    pub(super) fn new(connection: Arc<BrokerConnection>, names: Names) -> Self {
        Self { connection, names, partitions: DashMap::new(), broadcasts: Mutex::default() }
    }

    pub(super) async fn publish(&self, messages: &[EventMessage]) -> Result<(), BusError> {
        self.connection.expect_usable()?;
        let mut partitions: BTreeMap<(u16, u16), Vec<&EventMessage>> = BTreeMap::new();
        for message in messages {
            partitions.entry((message.partitions.get(), message.partition)).or_default().push(message);
        }
        let publishing = partitions.into_values().map(|messages| self.publish_partition(messages));
        let mut refused = Vec::new();
        let mut failed = None;
        for result in future::join_all(publishing).await {
            match result {
                Ok(refusals) => refused.extend(refusals),
                Err(error) => failed = Some(error),
            }
        }
        self.connection.counters.lock().refused += refused.len() as u64;
        match failed {
            Some(error) => Err(error),
            None if refused.is_empty() => Ok(()),
            None => Err(BusError::Refused(refused)),
        }
    }

    async fn publish_partition(&self, messages: Vec<&EventMessage>) -> Result<Vec<Refusal>, BusError> {
        let Some(first) = messages.first() else {
            return Ok(Vec::new());
        };
        let key = (first.partitions, first.partition);
        let open = Arc::clone(&self.partitions.entry((key.0.get(), key.1)).or_default());
        let mut refused = Vec::new();
        for batch in messages.chunks(BATCH) {
            let mut outcome = self.send(&open, batch).await;
            if matches!(&outcome, Err(error) if error.reply_code() == Some(NOT_FOUND)) {
                // The exchange was deleted. The next channel declares it again.
                self.connection.counters.lock().restored += 1;
                outcome = self.send(&open, batch).await;
            }
            let outcome = match outcome? {
                returned if returned.returned && self.claim(&open, key).await => {
                    self.send(&open, batch).await?
                }
                arrived => arrived,
            };
            refused.extend(outcome.refused);
        }
        Ok(refused)
    }

    /// Sends all of `batch`, then waits for all confirms. Only sending is exclusive.
    async fn send(&self, open: &Mutex<Open>, batch: &[&EventMessage]) -> Result<Outcome, BusError> {
        let exchange = self.names.events()?;
        let mut guard = open.lock().await;
        let channel = self.channel(&mut guard, Some(&exchange)).await?;
        let (mut ready, refused) = prepare_all(batch, channel.frame_max());
        let bytes: u64 = ready.iter().map(|it| it.body.len() as u64).sum();
        let claimed = guard.unclaimed.is_none_or(|since| since.elapsed() > LEFT_ALONE);
        let last = ready.len().saturating_sub(1);
        let mut writes = Vec::with_capacity(ready.len());
        for (n, Ready { events, key, properties, body }) in ready.iter_mut().enumerate() {
            // One message is enough to learn whether there is a queue.
            let mandatory = claimed && n == last;
            let (key, properties) = (mem::take(key), mem::take(properties));
            writes.push((*events, channel.publish(exchange.clone(), key, mandatory, body, properties)));
        }
        drop(guard);
        let deadline = BROKER_TIMEOUT + Duration::from_millis(bytes * 1_000 / BYTES_PER_SECOND);
        let confirmed = channel.wait_within(deadline, confirm_all(writes, refused)).await;
        if confirmed.is_err() {
            discard(open, &channel).await;
        }
        confirmed
    }

    /// Binds the queue of a partition again after messages reached no queue. Returns `false` when there is no queue:
    /// the partition never had a consumer, or its consumer has not declared it again yet.
    async fn claim(&self, open: &Mutex<Open>, (partitions, partition): Key) -> bool {
        self.connection.counters.lock().returned += 1;
        let bound = async {
            let queue = partition_queue(&self.names, partitions, partition)?;
            queue.look(&self.connection.channel_now().await?).await
        };
        let outcome = bound.await;
        let mut guard = open.lock().await;
        match outcome {
            Ok(_) => {
                guard.unclaimed = None;
                self.connection.counters.lock().restored += 1;
                tracing::warn!(
                    partition,
                    "the queue of a partition was not bound to its exchange: bound it again"
                );
                true
            }
            Err(error) => {
                tracing::debug!(partition, %error, "nobody consumes this partition");
                guard.unclaimed = Some(Instant::now());
                false
            }
        }
    }

    /// Publishes a broadcast. Listeners declare the exchange; without one there is no listener. Those that listened
    /// before it was deleted hear of a gap before it is declared again.
    pub(super) async fn broadcast(&self, topic: &str, message: Bytes) -> Result<(), BusError> {
        let exchange = self.names.broadcast(topic)?;
        self.connection.expect_usable()?;
        let mut guard = self.broadcasts.lock().await;
        let channel = self.channel(&mut guard, None).await?;
        drop(guard);
        let sent = channel.wait_for(async {
            let key = ShortString::default();
            let written = channel.publish(exchange, key, false, &message, BasicProperties::default());
            confirmation(written.await.map_err(BusError::unavailable)?).await
        });
        match sent.await {
            Ok(Confirmed::Taken | Confirmed::Returned) => Ok(()),
            Ok(Confirmed::Refused) => Err(BusError::unavailable("the broker refused a message")),
            Err(error) => {
                discard(&self.broadcasts, &channel).await;
                if error.reply_code() == Some(NOT_FOUND) {
                    return Ok(());
                }
                Err(error)
            }
        }
    }

    /// The channel to publish over. Opens one if there is none, and declares the topic exchange if one is given. Does
    /// not wait for a connection: the caller decides whether to retry.
    async fn channel(
        &self,
        open: &mut Open,
        exchange: Option<&ShortString>,
    ) -> Result<BrokerChannel, BusError> {
        if let Some(channel) = open.channel.as_ref().filter(|channel| channel.is_open()) {
            return Ok(channel.clone());
        }
        let mut channel = self.connection.channel_now().await?;
        if let Some(exchange) = exchange {
            channel = declare_exchange(&self.connection, channel, exchange, &ExchangeKind::Topic).await?;
        }
        channel.wait(channel.raw().confirm_select(ConfirmSelectOptions::default())).await?;
        Ok(open.channel.insert(channel).clone())
    }
}

/// After an error the next publication opens a new channel: outstanding confirms on the old one are ignored.
async fn discard(open: &Mutex<Open>, channel: &BrokerChannel) {
    let mut guard = open.lock().await;
    if guard.channel.as_ref().is_some_and(|open| open.is(channel)) {
        guard.channel = None;
    }
}

/// Prepares the message of one event, or returns why no broker would accept it.
fn prepare<'a>(event: &'a &'a EventMessage, frame_max: usize) -> Result<Ready<'a>, String> {
    Ok(Ready {
        events: slice::from_ref(event),
        key: cloud_event::routing_key(event)?,
        properties: cloud_event::properties(event, frame_max)?,
        body: Cow::Borrowed(&*event.event.data),
    })
}

/// The messages that the broker can take, and the events that it could not.
fn prepare_all<'a>(events: &'a [&'a EventMessage], frame_max: usize) -> (Vec<Ready<'a>>, Vec<Refusal>) {
    let (mut ready, mut refused) = (Vec::new(), Vec::new());
    let mut rest = events;
    while let Some((first, others)) = rest.split_first() {
        let together = if events.len() >= MANY { cloud_event_batch::encode(rest) } else { None };
        if let Some((count, body)) = together {
            let (batch, others) = rest.split_at(count);
            let key = cloud_event_batch::routing_key(first.partition);
            let (properties, body) = (cloud_event_batch::properties(), Cow::Owned(body));
            ready.push(Ready { events: batch, key, properties, body });
            rest = others;
            continue;
        }
        match prepare(first, frame_max) {
            Ok(prepared) => ready.push(prepared),
            Err(reason) => refused.push(Refusal { position: first.event.position, reason }),
        }
        rest = others;
    }
    (ready, refused)
}

/// Waits until all messages are written, then for the confirm of each. `refused` are those of the batch that were not
/// sent.
async fn confirm_all(
    writes: Vec<(&[&EventMessage], BoxFuture<'_, lapin::Result<PublisherConfirm>>)>,
    refused: Vec<Refusal>,
) -> Result<Outcome, BusError> {
    let mut outcome = Outcome { refused, returned: false };
    let mut confirms = Vec::with_capacity(writes.len());
    let mut failed = None;
    for (events, write) in writes {
        match write.await {
            Ok(confirm) => confirms.push((events, confirm)),
            Err(error) => {
                failed = Some(BusError::unavailable(error));
                break;
            }
        }
    }
    for (events, confirm) in confirms {
        match confirmation(confirm).await? {
            Confirmed::Taken => {}
            Confirmed::Returned => outcome.returned = true,
            Confirmed::Refused => outcome.refused.extend(events.iter().map(|message| Refusal {
                position: message.event.position,
                reason: "its queue does not take it".to_owned(),
            })),
        }
    }
    // A write to a channel that the broker has closed says only that it is closed. The confirms of the writes before it
    // say why, so their error goes first.
    match failed {
        Some(error) => Err(error),
        None => Ok(outcome),
    }
}

enum Confirmed {
    Taken,
    /// Accepted, but some message of this channel reached no queue.
    Returned,
    Refused,
}

async fn confirmation(confirm: PublisherConfirm) -> Result<Confirmed, BusError> {
    match confirm.await.map_err(BusError::unavailable)? {
        Confirmation::Ack(None) => Ok(Confirmed::Taken),
        // The library returns a message with the next confirm of its channel.
        Confirmation::Ack(Some(_)) => Ok(Confirmed::Returned),
        Confirmation::Nack(_) => Ok(Confirmed::Refused),
        Confirmation::NotRequested => {
            Err(BusError::unavailable("the broker confirms nothing on this channel"))
        }
    }
}

//! Sends one partition's messages, in order. While some are on their way, those that come are gathered into one batch
//! (Nagle's algorithm, RFC 896): a batch costs the bus and the projector about the same however few messages it has.
//! Batches that are full go at once, several behind one another. What the bus does not take is tried again, then alone,
//! then passed over, because messages are hints: whoever misses one reads the store.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bus::{Bus, BusError, EventMessage};
use futures::{StreamExt, stream::FuturesOrdered};
use runtime::Backoff;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::{Instant, timeout},
};

use crate::RelayMetrics;

/// A batch that has so many messages is full.
const BATCH_EVENTS: usize = 512;
/// A batch that takes so much in memory is full.
const BATCH_BYTES: usize = 256 * 1024;
/// Batches of a partition on their way at once.
const ON_THEIR_WAY: usize = 2;
/// What a partition's messages may take in memory, on their way and waiting. Beyond that it is skipped until there is room.
const ROOM_BYTES: usize = 1024 * 1024;
/// What a message takes besides its payload, about.
const OVERHEAD_BYTES: usize = 256;
/// How often a log line says that a partition is skipped.
const SAY_EVERY: Duration = Duration::from_secs(10);
/// How long a working bus may refuse to take anything of a batch.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Failures in a row after which the cause is looked for among the messages.
const SUSPICIOUS: u32 = 2;
/// How often a sender whose queue is full looks whether the bus is there again.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Between attempts to publish.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));

/// Some messages of one partition, in order, and the pages of the log that they are from: one of each part that was
/// added.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    messages: Vec<EventMessage>,
    pages: Vec<u64>,
    /// What the messages take in memory, about.
    bytes: usize,
    /// Given back when this is dropped.
    room: Option<OwnedSemaphorePermit>,
}

impl Batch {
    fn is_full(&self) -> bool {
        self.messages.len() >= BATCH_EVENTS || self.bytes >= BATCH_BYTES
    }

    fn push(&mut self, message: EventMessage) {
        self.bytes += OVERHEAD_BYTES + message.event.data.len();
        self.messages.push(message);
    }

    fn append(&mut self, mut later: Self) {
        self.bytes += later.bytes;
        self.messages.append(&mut later.messages);
        self.pages.append(&mut later.pages);
        match (&mut self.room, later.room) {
            (Some(room), Some(more)) => room.merge(more),
            (room, more) => *room = room.take().or(more),
        }
    }
}

/// Divides `messages` into batches of `page`.
pub(crate) fn batches(messages: Vec<EventMessage>, page: u64) -> Vec<Batch> {
    let mut batches: Vec<Batch> = Vec::new();
    for message in messages {
        if batches.last().is_none_or(Batch::is_full) {
            batches.push(Batch {
                pages: vec![page],
                ..Batch::default()
            });
        }
        if let Some(batch) = batches.last_mut() {
            batch.push(message);
        }
    }
    batches
}

/// Where one partition's batches are handed in.
pub(crate) struct Inlet {
    batches: mpsc::UnboundedSender<Batch>,
    room: Arc<Semaphore>,
    done: mpsc::UnboundedSender<u64>,
    bus: Arc<dyn Bus>,
    metrics: RelayMetrics,
    said: Option<Instant>,
}

/// Sends one partition's batches.
pub(crate) struct Sender {
    bus: Arc<dyn Bus>,
    metrics: RelayMetrics,
    batches: mpsc::UnboundedReceiver<Batch>,
    /// Hears the pages of each batch that needs nothing more.
    done: mpsc::UnboundedSender<u64>,
}

/// A sender, and the inlet to it.
pub(crate) fn sender(
    bus: &Arc<dyn Bus>,
    metrics: &RelayMetrics,
    done: &mpsc::UnboundedSender<u64>,
) -> (Inlet, Sender) {
    let (inlet, batches) = mpsc::unbounded_channel();
    (
        Inlet {
            batches: inlet,
            room: Arc::new(Semaphore::new(ROOM_BYTES)),
            done: done.clone(),
            bus: Arc::clone(bus),
            metrics: metrics.clone(),
            said: None,
        },
        Sender {
            bus: Arc::clone(bus),
            metrics: metrics.clone(),
            batches,
            done: done.clone(),
        },
    )
}

impl Inlet {
    /// Hands a batch in. While the bus is away it waits for room. A working bus that does not take this partition's
    /// messages as fast as they come, or not at all, does not hold up the others: the batch is skipped, and the next
    /// message says what was before it.
    pub(crate) async fn hand_in(&mut self, mut batch: Batch) {
        batch.room = self.find_room(batch.bytes.min(ROOM_BYTES)).await;
        if batch.room.is_some() {
            // The senders end only together with whoever hands in.
            let _ = self.batches.send(batch);
            return;
        }
        self.metrics.skipped.inc_by(batch.messages.len() as u64);
        if self.said.is_none_or(|said| said.elapsed() > SAY_EVERY)
            && let Some(first) = batch.messages.first()
        {
            self.said = Some(Instant::now());
            tracing::warn!(
                partition = first.partition,
                event.position = first.event.position,
                "the bus takes the messages of a partition more slowly than they come: some are skipped, and consumers read \
                 them from the log"
            );
        }
        tell(&self.done, &batch);
    }

    async fn find_room(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        loop {
            let room = Arc::clone(&self.room);
            if self.bus.is_connected() {
                return room.try_acquire_many_owned(bytes).ok();
            }
            if let Ok(room) = timeout(LOOK_EVERY, room.acquire_many_owned(bytes)).await {
                return room.ok();
            }
        }
    }
}

impl Sender {
    /// Sends until the inlet is dropped and everything is done.
    pub(crate) async fn run(mut self) {
        let mut on_their_way = FuturesOrdered::new();
        let mut gathered = Batch::default();
        let mut ended = false;
        loop {
            let room = on_their_way.len() < ON_THEIR_WAY;
            if on_their_way.is_empty() || (room && gathered.is_full()) {
                let batch = std::mem::take(&mut gathered);
                if !batch.messages.is_empty() {
                    let bus = Arc::clone(&self.bus);
                    on_their_way.push_back(async move { (bus.publish(&batch.messages).await, batch) });
                } else if ended {
                    return;
                }
            }
            tokio::select! {
                biased;
                Some((result, batch)) = on_their_way.next(), if !on_their_way.is_empty() => {
                    if self.settled(result, &batch) {
                        continue;
                    }
                    // Those behind it may have been taken, or not.
                    let mut again = vec![batch];
                    while let Some((result, batch)) = on_their_way.next().await {
                        if !self.settled(result, &batch) {
                            again.push(batch);
                        }
                    }
                    for batch in again {
                        self.insist(batch).await;
                    }
                }
                batch = self.batches.recv(), if !ended && !gathered.is_full() => match batch {
                    Some(batch) => gathered.append(batch),
                    None => ended = true,
                },
            }
        }
    }

    /// Counts what became of a batch. `false` when it has to be sent again.
    fn settled(&self, result: Result<(), BusError>, batch: &Batch) -> bool {
        let settled = self.taken(result, &batch.messages).is_ok();
        if settled {
            tell(&self.done, batch);
        }
        settled
    }

    /// Counts what was taken of `messages`, and passes over what was refused for itself.
    fn taken(&self, result: Result<(), BusError>, messages: &[EventMessage]) -> Result<(), BusError> {
        let refusals = match result {
            Ok(()) => Vec::new(),
            Err(BusError::Refused(refusals)) => refusals,
            Err(error) => {
                self.metrics.failures.inc();
                return Err(error);
            }
        };
        for refusal in &refusals {
            let message = messages
                .iter()
                .find(|message| message.event.position == refusal.position);
            pass_over(&self.metrics, message, &refusal.reason);
        }
        let taken = messages.len().saturating_sub(refusals.len());
        self.metrics.published.inc_by(taken as u64);
        Ok(())
    }

    /// Sends a batch that was not taken, again and again while the bus is away. A bus that works and does not take it has
    /// something against some message of it, which is found by halving, or against all of them.
    async fn insist(&self, mut batch: Batch) {
        let mut parts = VecDeque::from([std::mem::take(&mut batch.messages)]);
        let mut since = Instant::now();
        let mut failures = 0;
        // Whether something else of the batch was taken, so that it is not the partition.
        let mut moves = false;
        let mut backoff = BACKOFF;
        while let Some(mut part) = parts.pop_front() {
            backoff.wait().await;
            let result = self.bus.publish(&part).await;
            let Err(error) = self.taken(result, &part) else {
                backoff.reset();
                (since, failures, moves) = (Instant::now(), 0, true);
                continue;
            };
            tracing::warn!(%error, events = part.len(), "cannot publish, trying again");
            if !self.bus.is_connected() {
                (since, failures) = (Instant::now(), 0);
                parts.push_front(part);
                continue;
            }
            failures += 1;
            if since.elapsed() > TIMEOUT {
                parts.push_front(part);
                let rest: Vec<_> = parts.drain(..).flatten().collect();
                pass_over(&self.metrics, &rest, &error.to_string());
            } else if failures < SUSPICIOUS {
                parts.push_front(part);
            } else if part.len() > 1 {
                let second = part.split_off(part.len() / 2);
                parts.push_front(second);
                parts.push_front(part);
                failures = 0;
                backoff.reset();
            } else if moves {
                pass_over(&self.metrics, &part, &error.to_string());
                failures = 0;
                backoff.reset();
            } else {
                parts.push_back(part);
            }
        }
        tell(&self.done, &batch);
    }
}

/// Tells that a batch needs nothing more.
fn tell(done: &mpsc::UnboundedSender<u64>, batch: &Batch) {
    for page in &batch.pages {
        let _ = done.send(*page);
    }
}

/// Gives messages up, counts them, and names the first.
fn pass_over<'a>(metrics: &RelayMetrics, messages: impl IntoIterator<Item = &'a EventMessage>, reason: &str) {
    let mut messages = messages.into_iter();
    if let Some(first) = messages.next() {
        let events = 1 + messages.count() as u64;
        metrics.passed_over.inc_by(events);
        tracing::error!(
            event.position = first.event.position,
            event.r#type = first.event.kind,
            partition = first.partition,
            events,
            reason,
            "passed over in publishing: whoever needs it reads the log"
        );
    }
}

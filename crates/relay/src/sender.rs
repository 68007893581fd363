//! Sends the messages of one partition, in order. While a batch is being sent, new messages are collected into the next
//! one (Nagle's algorithm, RFC 896), because a small batch costs the bus and the projector about as much as a large
//! one. Full batches are sent at once. A batch that the bus does not take is sent again, then in smaller parts, and a
//! message that it refuses alone is skipped. That is safe, because consumers read from the store what they miss.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bus::{Bus, BusError, EventMessage};
use futures::{StreamExt, stream::FuturesOrdered};
use runtime::{Backoff, LogLimit};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::{Instant, timeout},
};

use crate::RelayMetrics;

/// A batch with this many messages is full.
const BATCH_EVENTS: usize = 512;
/// A batch that takes this much memory is full.
const BATCH_BYTES: usize = 256 * 1024;
/// The most batches of a partition that are being sent at the same time.
const MAX_IN_FLIGHT: usize = 2;
/// The memory for the messages of a partition, waiting and being sent. Messages for which there is none are skipped.
const MAX_QUEUED_BYTES: usize = 1024 * 1024;
/// The approximate memory of a message besides its payload.
const OVERHEAD_BYTES: usize = 256;
/// How long a working bus may refuse everything in a batch before the batch is skipped.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The number of failures in a row after which a batch is sent in parts.
const MAX_FAILURES: u32 = 2;
/// How often a full queue checks whether the bus is there again.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// How long a batch waits for memory while the bus works: a page of the log may have more for a partition than fits. A
/// wait without success is the last one of its page, because the other partitions wait, too.
const PATIENCE: Duration = Duration::from_millis(50);
/// The pauses between two attempts to publish.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));

/// Some messages of one partition, in order, and the pages of the log that they come from. A page that was divided into
/// several batches is named once for each.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    messages: Vec<EventMessage>,
    pages: Vec<u64>,
    /// The approximate memory of the messages.
    bytes: usize,
    /// The part of the partition's memory that they use; free again when this is dropped.
    memory: Option<OwnedSemaphorePermit>,
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
        match (&mut self.memory, later.memory) {
            (Some(memory), Some(more)) => memory.merge(more),
            (memory, more) => *memory = memory.take().or(more),
        }
    }
}

/// Divides the messages of a page into batches.
pub(crate) fn batches(messages: Vec<EventMessage>, page: u64) -> Vec<Batch> {
    let mut batches: Vec<Batch> = Vec::new();
    for message in messages {
        if batches.last().is_none_or(Batch::is_full) {
            batches.push(Batch { pages: vec![page], ..Batch::default() });
        }
        if let Some(batch) = batches.last_mut() {
            batch.push(message);
        }
    }
    batches
}

/// The batches of one partition that wait for its sender.
pub(crate) struct PartitionQueue {
    batches: mpsc::UnboundedSender<Batch>,
    memory: Arc<Semaphore>,
    done: mpsc::UnboundedSender<u64>,
    bus: Arc<dyn Bus>,
    metrics: RelayMetrics,
    /// Whether a batch has waited without success since there was memory. Then the next ones do not wait.
    is_stuck: bool,
    skipping: LogLimit,
}

/// Sends one partition's batches.
pub(crate) struct Sender {
    bus: Arc<dyn Bus>,
    metrics: RelayMetrics,
    batches: mpsc::UnboundedReceiver<Batch>,
    /// Gets the pages of each finished batch.
    done: mpsc::UnboundedSender<u64>,
}

/// A sender and its queue.
pub(crate) fn sender(
    bus: &Arc<dyn Bus>,
    metrics: &RelayMetrics,
    done: &mpsc::UnboundedSender<u64>,
) -> (PartitionQueue, Sender) {
    let (queue, batches) = mpsc::unbounded_channel();
    (
        PartitionQueue {
            batches: queue,
            memory: Arc::new(Semaphore::new(MAX_QUEUED_BYTES)),
            done: done.clone(),
            bus: Arc::clone(bus),
            metrics: metrics.clone(),
            is_stuck: false,
            skipping: LogLimit::default(),
        },
        Sender { bus: Arc::clone(bus), metrics: metrics.clone(), batches, done: done.clone() },
    )
}

impl PartitionQueue {
    /// Adds a batch. While the bus is away this waits for memory. If the bus works but takes the messages of this
    /// partition too slowly, the batch is skipped so that the other partitions need not wait; the next message then
    /// names the position before it, as always. `may_wait` says whether the page has not waited without success yet.
    pub(crate) async fn enqueue(&mut self, mut batch: Batch, may_wait: &mut bool) {
        let bytes = batch.bytes.min(MAX_QUEUED_BYTES);
        batch.memory = self.reserve(bytes, may_wait).await;
        if batch.memory.is_some() {
            // The sender ends only together with this queue.
            let _ = self.batches.send(batch);
            return;
        }
        self.metrics.skipped.inc_by(batch.messages.len() as u64);
        if let Some(first) = batch.messages.first()
            && self.skipping.count(batch.messages.len()).is_some()
        {
            tracing::warn!(
                partition = first.partition,
                event.position = first.event.position,
                "the bus takes the messages of a partition more slowly than they come: some are skipped, and consumers read \
                 them from the log"
            );
        }
        report_done(&self.done, &batch);
    }

    async fn reserve(&mut self, bytes: usize, may_wait: &mut bool) -> Option<OwnedSemaphorePermit> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        if let Ok(permit) = Arc::clone(&self.memory).try_acquire_many_owned(bytes) {
            self.is_stuck = false;
            return Some(permit);
        }
        loop {
            let is_connected = self.bus.is_connected();
            if is_connected && (self.is_stuck || !*may_wait) {
                return None;
            }
            let limit = if is_connected { PATIENCE } else { POLL_INTERVAL };
            // Meanwhile the sender, which is part of the same task, gives memory back.
            let memory = Arc::clone(&self.memory).acquire_many_owned(bytes);
            if let Ok(permit) = timeout(limit, memory).await {
                return permit.ok();
            }
            if is_connected {
                (self.is_stuck, *may_wait) = (true, false);
            }
        }
    }
}

impl Sender {
    /// Sends until the queue is dropped and everything is done.
    pub(crate) async fn run(mut self) {
        let mut in_flight = FuturesOrdered::new();
        let mut collected = Batch::default();
        let mut ended = false;
        loop {
            let may_send = in_flight.len() < MAX_IN_FLIGHT;
            if in_flight.is_empty() || (may_send && collected.is_full()) {
                let batch = std::mem::take(&mut collected);
                if !batch.messages.is_empty() {
                    let bus = Arc::clone(&self.bus);
                    in_flight.push_back(async move { (bus.publish(&batch.messages).await, batch) });
                } else if ended {
                    return;
                }
            }
            tokio::select! {
                biased;
                Some((result, batch)) = in_flight.next(), if !in_flight.is_empty() => {
                    if self.is_done(result, &batch) {
                        continue;
                    }
                    // The batches after it may have been taken, or not.
                    let mut again = vec![batch];
                    while let Some((result, batch)) = in_flight.next().await {
                        if !self.is_done(result, &batch) {
                            again.push(batch);
                        }
                    }
                    for batch in again {
                        self.retry(batch).await;
                    }
                }
                batch = self.batches.recv(), if !ended && !collected.is_full() => match batch {
                    Some(batch) => collected.append(batch),
                    None => ended = true,
                },
            }
        }
    }

    /// Counts the result of a batch. `false` when the batch must be sent again.
    fn is_done(&self, result: Result<(), BusError>, batch: &Batch) -> bool {
        let is_done = self.count(result, &batch.messages).is_ok();
        if is_done {
            report_done(&self.done, batch);
        }
        is_done
    }

    /// Counts the messages that were taken, and skips those that the bus has refused one by one.
    fn count(&self, result: Result<(), BusError>, messages: &[EventMessage]) -> Result<(), BusError> {
        let refusals = match result {
            Ok(()) => Vec::new(),
            Err(BusError::Refused(refusals)) => refusals,
            Err(error) => {
                self.metrics.failures.inc();
                return Err(error);
            }
        };
        for refusal in &refusals {
            let message = messages.iter().find(|message| message.event.position == refusal.position);
            skip(&self.metrics, message, &refusal.reason);
        }
        let taken = messages.len().saturating_sub(refusals.len());
        self.metrics.published.inc_by(taken as u64);
        Ok(())
    }

    /// Sends a batch that was not taken, again and again while the bus is away. If the bus works and still does not
    /// take it, the cause may be one message, which is found by halving the batch, or the whole partition.
    async fn retry(&self, mut batch: Batch) {
        let mut parts = VecDeque::from([std::mem::take(&mut batch.messages)]);
        let mut since = Instant::now();
        let mut failures = 0;
        // Whether another part of the batch was taken, so that the cause is not the partition.
        let mut others_taken = false;
        let mut backoff = BACKOFF;
        while let Some(mut part) = parts.pop_front() {
            backoff.wait().await;
            let result = self.bus.publish(&part).await;
            let Err(error) = self.count(result, &part) else {
                backoff.reset();
                (since, failures, others_taken) = (Instant::now(), 0, true);
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
                skip(&self.metrics, &rest, &error.to_string());
            } else if failures < MAX_FAILURES {
                parts.push_front(part);
            } else if part.len() > 1 {
                let second = part.split_off(part.len() / 2);
                parts.push_front(second);
                parts.push_front(part);
                failures = 0;
                backoff.reset();
            } else if others_taken {
                skip(&self.metrics, &part, &error.to_string());
                failures = 0;
                backoff.reset();
            } else {
                parts.push_back(part);
            }
        }
        report_done(&self.done, &batch);
    }
}

/// Reports the pages of a finished batch.
fn report_done(done: &mpsc::UnboundedSender<u64>, batch: &Batch) {
    for page in &batch.pages {
        let _ = done.send(*page);
    }
}

/// Skips messages, counts them, and logs the first.
fn skip<'a>(metrics: &RelayMetrics, messages: impl IntoIterator<Item = &'a EventMessage>, reason: &str) {
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

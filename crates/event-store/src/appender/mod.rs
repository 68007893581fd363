//! The append task: turns appends that arrive together into one transaction. It knows nothing of SQL; how a
//! batch is committed is up to the backend's [`Writer`].

use std::{collections::HashMap, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use events::{NewEvent, StreamName};
use futures::FutureExt as _;
use tokio::{
    sync::{Semaphore, mpsc, oneshot, watch},
    time::{Instant, timeout},
};

use crate::{
    Appended, StoreError,
    append::{Append, Outcome, PreparedEvent},
    append_metrics,
    error::check_size,
    fair_queue::FairQueue,
};

/// The most appends that wait. Further ones wait for a place in the queue.
const QUEUE: usize = 4_096;
/// The most [`UNIT`]s of bytes that wait, of all appends together.
const QUEUE_UNITS: usize = (32 << 20) / UNIT;
/// The unit in which the queue's bytes are counted.
const UNIT: usize = 1_024;
/// An append without a result after this time, from its arrival on, is given up. Longer than a commit may take.
const TIMEOUT: Duration = Duration::from_secs(20);
/// The most appends in one batch.
const BATCH_APPENDS: usize = 1_000;
/// A batch that holds this many bytes takes no further append.
const BATCH_BYTES: usize = 4 << 20;
/// A batch is committed after this many turns at the latest, even if each of them brought more appends.
const GATHER_TURNS: u32 = 16;

/// Why a batch was not committed.
#[derive(Debug)]
pub(crate) enum BatchError {
    /// The database refused the data of one append, and wrote nothing.
    Refused(StoreError),
    /// Anything else; the batch may or may not have been written.
    Unavailable(StoreError),
}

impl BatchError {
    pub(crate) fn unavailable(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unavailable(StoreError::unavailable(source))
    }
}

/// How a backend commits.
pub(crate) trait Writer: Send + 'static {
    /// Commits a batch, in order and durably, and returns one outcome for each of its appends.
    fn commit(&mut self, batch: &[Append]) -> impl Future<Output = Result<Vec<Outcome>, BatchError>> + Send;

    /// Releases the resources of the writer.
    fn close(self) -> impl Future<Output = ()> + Send;
}

/// Sends appends to the append task. When it is dropped, the task finishes its work and ends.
#[derive(Debug)]
pub(crate) struct Appender {
    queue: mpsc::Sender<Append>,
    room: Arc<Semaphore>,
    patience: Duration,
}

impl Appender {
    /// Starts the task. It raises `head` to the last position after each batch.
    pub(crate) fn start(writer: impl Writer, head: Arc<watch::Sender<u64>>) -> Self {
        append_metrics::show();
        let (queue, appends) = mpsc::channel(QUEUE);
        runtime::spawn("appends to the event store", run(writer, appends, head));
        Self { queue, room: Arc::new(Semaphore::new(QUEUE_UNITS)), patience: TIMEOUT }
    }

    /// Checks that the append task runs; without it every append fails.
    pub(crate) fn check_running(&self) -> Result<(), StoreError> {
        if self.queue.is_closed() {
            return Err(ended());
        }
        Ok(())
    }

    /// Like [`crate::EventStore::append`]. If the future is dropped before it is done, the events may or may not be
    /// appended.
    pub(crate) async fn append(
        &self,
        stream: &StreamName,
        expected_version: u64,
        events: Vec<NewEvent>,
    ) -> Result<Appended, StoreError> {
        let Some(subject) = events.first().map(|event| event.metadata.subject) else {
            return Err(StoreError::Empty);
        };
        let has_nul = |text: &str| text.contains('\0');
        if has_nul(stream.as_str()) || events.iter().any(|event| has_nul(&event.kind)) {
            return Err(StoreError::unavailable(
                "names of streams and events cannot hold the character U+0000",
            ));
        }
        let events = events.into_iter().map(PreparedEvent::new).collect::<Result<Vec<_>, _>>()?;
        let bytes = check_size(events.iter().map(PreparedEvent::bytes).sum())?;
        let append = async {
            let units = u32::try_from(bytes / UNIT + 1).unwrap_or(u32::MAX);
            let room = Arc::clone(&self.room).acquire_many_owned(units).await;
            let (answer, answered) = oneshot::channel();
            let append = Append {
                stream: stream.clone(),
                expected_version,
                events,
                subject,
                _room: room.map_err(|_| ended())?,
                answer,
            };
            self.queue.send(append).await.map_err(|_| ended())?;
            answered.await.map_err(|_| ended())?
        };
        timeout(self.patience, append)
            .await
            .unwrap_or_else(|_| Err(StoreError::unavailable("the append was not answered in time")))
    }
}

async fn run(mut writer: impl Writer, mut appends: mpsc::Receiver<Append>, head: Arc<watch::Sender<u64>>) {
    let mut waiting = FairQueue::default();
    loop {
        if waiting.len() == 0 {
            match appends.recv().await {
                Some(append) => waiting.push(append),
                None => break,
            }
        }
        gather(&mut waiting, &mut appends).await;
        let batch = next_batch(&mut waiting);
        if !batch.is_empty() {
            commit(&mut writer, batch, &head).await;
        }
    }
    writer.close().await;
}

/// Collects the appends that have arrived; they keep their share of the queue. There is no timer: other tasks get
/// turns, also callers that have just got a result and may send their next append, as long as this brings more
/// appends and the batch is not full.
async fn gather(waiting: &mut FairQueue, appends: &mut mpsc::Receiver<Append>) {
    for _ in 0..GATHER_TURNS {
        while let Ok(next) = appends.try_recv() {
            waiting.push(next);
        }
        if waiting.len() >= BATCH_APPENDS || waiting.bytes() >= BATCH_BYTES {
            break;
        }
        tokio::task::yield_now().await;
        if appends.is_empty() {
            break;
        }
    }
}

/// Takes the next batch from the waiting appends.
fn next_batch(waiting: &mut FairQueue) -> Vec<Append> {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    while batch.len() < BATCH_APPENDS && bytes < BATCH_BYTES {
        let Some(next) = waiting.pop() else { break };
        // Nobody waits for these any more. After giving up, a caller does not know whether its events are appended.
        if !next.is_given_up() {
            bytes += next.bytes();
            batch.push(next);
        }
    }
    batch
}

/// Commits a batch and returns the results. A panic of the writer does not affect the next batch: writers keep a
/// connection only after it has done its work.
async fn commit(writer: &mut impl Writer, batch: Vec<Append>, head: &watch::Sender<u64>) {
    let begun = Instant::now();
    let committing = AssertUnwindSafe(writer.commit(&batch)).catch_unwind().await;
    let committed =
        committing.unwrap_or_else(|_| Err(BatchError::unavailable("the append task has panicked")));
    let events = batch.iter().map(|append| append.events.len()).sum();
    append_metrics::batch(batch.len(), events, begun.elapsed(), committed.is_ok());
    match committed {
        Ok(outcomes) => {
            raise(head, outcomes.iter().filter_map(Outcome::position).max());
            for (append, outcome) in batch.into_iter().zip(outcomes) {
                append.answer(Ok(outcome));
            }
        }
        Err(BatchError::Refused(_)) if batch.len() > 1 => {
            for append in batch {
                // As in `next_batch`. Whoever waited may have stopped while the others were committed.
                if append.is_given_up() {
                    continue;
                }
                Box::pin(commit(writer, vec![append], head)).await;
            }
        }
        Err(BatchError::Refused(error) | BatchError::Unavailable(error)) => {
            tracing::warn!(%error, appends = batch.len(), "appends failed");
            batch.into_iter().for_each(|append| append.answer(Err(error.clone())));
        }
    }
}

fn ended() -> StoreError {
    StoreError::unavailable("the append task has ended")
}

/// Wakes subscribers, unless they know the position. Also for a lower position than the known one: the report may be
/// late, or the log may be shorter than it was.
pub(crate) fn raise(head: &watch::Sender<u64>, position: Option<u64>) {
    if let Some(position) = position {
        head.send_if_modified(|known| {
            let news = position != *known;
            *known = position.max(*known);
            news
        });
    }
}

/// For each append the index of the batch's first append to the same stream.
pub(crate) fn slots(batch: &[Append]) -> Vec<usize> {
    let mut first = HashMap::with_capacity(batch.len());
    batch
        .iter()
        .enumerate()
        .map(|(index, append)| *first.entry(append.stream.as_str()).or_insert(index))
        .collect()
}

#[cfg(test)]
mod tests;

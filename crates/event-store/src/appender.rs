//! The append task: turns appends that arrive together into one transaction. It knows nothing of SQL; how a
//! batch is committed is up to the backend's [`Writer`].

use std::{collections::HashMap, panic::AssertUnwindSafe, sync::Arc};

use events::{NewEvent, StreamName};
use futures::FutureExt as _;
use tokio::sync::{mpsc, oneshot, watch};

use crate::{Appended, StoreError};

/// So many appends may wait before the next one has to wait for a place in the queue.
const QUEUE: usize = 4_096;
/// A batch takes no more appends than this,
const BATCH_APPENDS: usize = 1_000;
/// and no further one when it holds this many bytes.
const BATCH_BYTES: usize = 4 << 20;
/// and is committed after so many turns, even if each of them brought more.
const GATHER_TURNS: u32 = 16;

/// An append on its way into the log.
#[derive(Debug)]
pub(crate) struct Append {
    pub(crate) stream: StreamName,
    pub(crate) expected_version: u64,
    pub(crate) events: Vec<PreparedEvent>,
    answer: oneshot::Sender<Result<Appended, StoreError>>,
}

/// An event whose metadata are text already, so that the append task has less to do.
#[derive(Debug)]
pub(crate) struct PreparedEvent {
    pub(crate) event: NewEvent,
    pub(crate) metadata: String,
}

/// What became of one append of a batch that was committed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Outcome {
    Appended(Appended),
    Conflict { actual: u64 },
}

/// Why a batch was not committed.
#[derive(Debug)]
pub(crate) enum BatchError {
    /// The database refused what one of the appends holds, and wrote nothing.
    Refused(StoreError),
    /// Anything else; the batch may or may not have been written.
    Unavailable(StoreError),
}

/// How a backend commits.
pub(crate) trait Writer: Send + 'static {
    /// Commits a batch, in order and durably, and returns one outcome for each of its appends.
    fn commit(&mut self, batch: &[Append]) -> impl Future<Output = Result<Vec<Outcome>, BatchError>> + Send;

    /// Lets go of what the writer holds.
    fn close(self) -> impl Future<Output = ()> + Send;
}

/// The way to the append task. The task ends, its work done, when this is dropped.
#[derive(Debug)]
pub(crate) struct Appender {
    queue: mpsc::Sender<Append>,
}

impl Appender {
    /// Starts the task. It raises `head` to the last position after each batch.
    pub(crate) fn start(writer: impl Writer, head: Arc<watch::Sender<u64>>) -> Self {
        let (queue, appends) = mpsc::channel(QUEUE);
        tokio::spawn(run(writer, appends, head));
        Self { queue }
    }

    /// As [`crate::EventStore::append`]. When it is dropped before it is done, the events may or may not be
    /// appended.
    pub(crate) async fn append(
        &self,
        stream: &StreamName,
        expected_version: u64,
        events: Vec<NewEvent>,
    ) -> Result<Appended, StoreError> {
        if events.is_empty() {
            return Err(StoreError::Empty);
        }
        let has_nul = |text: &str| text.contains('\0');
        if has_nul(stream.as_str()) || events.iter().any(|event| has_nul(&event.kind)) {
            return Err(StoreError::unavailable(
                "names of streams and events cannot hold the character U+0000",
            ));
        }
        let events = events.into_iter().map(prepare).collect::<Result<Vec<_>, _>>()?;
        let (answer, answered) = oneshot::channel();
        let append = Append {
            stream: stream.clone(),
            expected_version,
            events,
            answer,
        };
        let ended = || StoreError::unavailable("the append task has ended");
        self.queue.send(append).await.map_err(|_| ended())?;
        answered.await.map_err(|_| ended())?
    }
}

fn prepare(event: NewEvent) -> Result<PreparedEvent, StoreError> {
    let metadata = serde_json::to_string(&event.metadata).map_err(StoreError::unavailable)?;
    Ok(PreparedEvent { event, metadata })
}

impl Append {
    fn bytes(&self) -> usize {
        self.events
            .iter()
            .map(|event| event.event.data.len() + event.metadata.len())
            .sum()
    }

    fn answer(self, result: Result<Outcome, StoreError>) {
        let answer = match result {
            Ok(Outcome::Appended(appended)) => Ok(appended),
            Ok(Outcome::Conflict { actual }) => Err(StoreError::Conflict {
                stream: self.stream,
                expected: self.expected_version,
                actual,
            }),
            Err(error) => Err(error),
        };
        // Whoever asked may have gone.
        let _ = self.answer.send(answer);
    }
}

async fn run(mut writer: impl Writer, mut appends: mpsc::Receiver<Append>, head: Arc<watch::Sender<u64>>) {
    while let Some(first) = appends.recv().await {
        let mut batch = gather(first, &mut appends).await;
        // Nobody waits for these any more: a caller that gives up leaves it open whether they are appended.
        batch.retain(|append| !append.answer.is_closed());
        if !batch.is_empty() {
            commit(&mut writer, batch, &head).await;
        }
    }
    writer.close().await;
}

/// A batch of what has arrived. There is no timer: other tasks get their turn, among them those who have just
/// been answered and may send their next append, as long as that brings more.
async fn gather(first: Append, appends: &mut mpsc::Receiver<Append>) -> Vec<Append> {
    let mut bytes = first.bytes();
    let mut batch = vec![first];
    for _ in 0..GATHER_TURNS {
        while batch.len() < BATCH_APPENDS && bytes < BATCH_BYTES {
            let Ok(next) = appends.try_recv() else { break };
            bytes += next.bytes();
            batch.push(next);
        }
        tokio::task::yield_now().await;
        if appends.is_empty() {
            break;
        }
    }
    batch
}

/// Commits a batch and answers everyone in it. Should the writer panic, the next batch is none the worse: writers hold
/// on to a connection only after it has done its work.
async fn commit(writer: &mut impl Writer, batch: Vec<Append>, head: &watch::Sender<u64>) {
    let committing = AssertUnwindSafe(writer.commit(&batch)).catch_unwind().await;
    match committing.unwrap_or_else(|_| Err(BatchError::Unavailable(panicked()))) {
        Ok(outcomes) => {
            raise(head, outcomes.iter().filter_map(Outcome::position).max());
            for (append, outcome) in batch.into_iter().zip(outcomes) {
                append.answer(Ok(outcome));
            }
        }
        Err(BatchError::Refused(_)) if batch.len() > 1 => {
            for append in batch {
                Box::pin(commit(writer, vec![append], head)).await;
            }
        }
        Err(BatchError::Refused(error) | BatchError::Unavailable(error)) => {
            tracing::warn!(%error, appends = batch.len(), "appends failed");
            batch
                .into_iter()
                .for_each(|append| append.answer(Err(error.clone())));
        }
    }
}

fn panicked() -> StoreError {
    StoreError::unavailable("the append task has panicked")
}

/// Wakes subscribers, unless they know already. Also for a position below the one known: news of it may have come
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

impl Outcome {
    pub(crate) fn position(&self) -> Option<u64> {
        match self {
            Self::Appended(appended) => Some(appended.position),
            Self::Conflict { .. } => None,
        }
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
mod tests {
    #![allow(clippy::panic, reason = "what is tested")]

    use bytes::Bytes;
    use events::{Actor, Encoding, EventId, Metadata, Timestamp, UserId};
    use uuid::Uuid;

    use super::*;

    /// Panics at its first batch.
    struct Clumsy(u64);

    impl Writer for Clumsy {
        async fn commit(&mut self, batch: &[Append]) -> Result<Vec<Outcome>, BatchError> {
            self.0 += 1;
            assert!(self.0 > 1, "a bug");
            Ok(vec![
                Outcome::Appended(Appended {
                    version: 1,
                    position: 1
                });
                batch.len()
            ])
        }

        async fn close(self) {}
    }

    #[tokio::test]
    async fn a_panic_fails_its_batch_and_no_other() {
        let appender = Appender::start(Clumsy(0), Arc::new(watch::Sender::new(0)));
        let event = NewEvent {
            id: EventId(Uuid::now_v7()),
            kind: "task.renamed".to_owned(),
            schema_version: 1,
            encoding: Encoding::Json,
            data: Bytes::from_static(b"{}"),
            metadata: Metadata {
                subject: UserId(Uuid::now_v7()),
                actor: Actor::System,
                correlation_id: events::CorrelationId::default(),
                causation_id: Uuid::now_v7(),
                traceparent: None,
                idempotency_key: None,
            },
            recorded_at: Timestamp::from_micros(0),
        };
        let stream = StreamName::raw("task-1");
        let first = appender.append(&stream, 0, vec![event.clone()]).await;
        assert!(matches!(first, Err(StoreError::Unavailable(_))), "{first:?}");
        let second = appender.append(&stream, 0, vec![event]).await.unwrap();
        assert_eq!(second.position, 1);
    }
}

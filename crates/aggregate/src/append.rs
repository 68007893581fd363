//! Appends the decided events, once. A conflict is a normal result. When the answer of the store was lost, the log is
//! searched for the events.

use std::time::Duration;

use event_store::{EventStore, StoreError, StreamHead};
use events::{EventId, Metadata, NewEvent, StreamEvent, StreamName, Timestamp};
use runtime::{Clock, new_id};
use tokio::time::timeout;

/// How long the log is searched for an append whose answer was lost.
const SEARCH: Duration = Duration::from_secs(2);

/// The events to append, and where.
#[derive(Debug)]
pub struct Append<'a, E> {
    /// The stream that is appended to.
    pub stream: &'a StreamName,
    /// The version of the stream that the decision was made on.
    pub expected_version: u64,
    /// The recording time of the last earlier event. The new events are not recorded before it, even if the clock
    /// went backwards.
    pub not_before: Timestamp,
    /// The events that are appended.
    pub events: &'a [E],
    /// Shared by all of the events.
    pub metadata: &'a Metadata,
}

/// The result of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended<W = Written> {
    /// The events are in the log.
    Written(W),
    /// Another process appended first.
    Conflict {
        /// The version of the stream.
        actual: u64,
    },
}

/// Events that were appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Where the stream ends now.
    pub end: StreamHead,
    /// When they were recorded.
    pub at: Timestamp,
}

/// Appends the events, once.
///
/// # Errors
/// Those of the store, except a conflict. After [`StoreError::Unavailable`] the events may nevertheless be
/// in the log.
pub async fn append<E: StreamEvent>(
    store: &dyn EventStore,
    clock: &dyn Clock,
    append: Append<'_, E>,
) -> Result<Appended, StoreError> {
    let Append { stream, expected_version, not_before, events, metadata } = append;
    let at = clock.now().max(not_before);
    let records: Vec<NewEvent> = events.iter().map(|event| record(event, metadata, at)).collect();
    let ids: Vec<EventId> = records.iter().map(|record| record.id).collect();
    let Some(&id) = ids.last() else {
        return Err(StoreError::Empty);
    };
    let written = |position| {
        let version = expected_version + ids.len() as u64;
        let end = StreamHead { version, position, id };
        Appended::Written(Written { end, at })
    };
    match store.append(stream, expected_version, records).await {
        Ok(appended) => Ok(written(appended.position)),
        Err(StoreError::Conflict { actual, .. }) => Ok(Appended::Conflict { actual }),
        Err(StoreError::Unavailable(source)) => match find(store, stream, expected_version, &ids).await {
            Some(position) => Ok(written(position)),
            None => Err(StoreError::Unavailable(source)),
        },
        Err(error) => Err(error),
    }
}

/// The position of an append whose answer was lost, if it succeeded. Without this search, a refresh could use up a
/// token whose successor the client never gets.
async fn find(store: &dyn EventStore, stream: &StreamName, after: u64, ids: &[EventId]) -> Option<u64> {
    let read = timeout(SEARCH, store.read_stream(stream, after, ids.len()));
    let recorded = read.await.ok()?.ok()?;
    let is_ours = recorded.iter().map(|recorded| recorded.id).eq(ids.iter().copied());
    recorded.last().filter(|_| is_ours).map(|last| last.position)
}

fn record(event: &impl StreamEvent, metadata: &Metadata, recorded_at: Timestamp) -> NewEvent {
    event.encode().into_event(EventId(new_id()), metadata.clone(), recorded_at)
}

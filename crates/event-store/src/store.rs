//! The contract of an event store. It moves records and never reads payloads.

use async_trait::async_trait;
use events::{NewEvent, RecordedEvent, StreamName};
use futures::stream::BoxStream;

/// An append-only log of streams with one global order.
///
/// Every backend passes the same conformance suite (`tests/conformance/`).
#[async_trait]
pub trait EventStore: Send + Sync + 'static {
    /// Appends `events`, all or none, if `stream` is at `expected_version` (0: empty). When this returns,
    /// they are durable and visible to every reader.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the stream is at another version; [`StoreError::Empty`] without events.
    /// After [`StoreError::Unavailable`] the events may or may not have been appended.
    async fn append(
        &self,
        stream: &StreamName,
        expected_version: u64,
        events: Vec<NewEvent>,
    ) -> Result<Appended, StoreError>;

    /// Up to `limit` events of `stream` with a version above `after_version`, oldest first.
    async fn read_stream(
        &self,
        stream: &StreamName,
        after_version: u64,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, StoreError>;

    /// Up to `limit` events of the log with a position above `after`, in order. An event that is missing from
    /// the answer never turns up later below one that was in it.
    async fn read_all(&self, after: u64, limit: usize) -> Result<Vec<RecordedEvent>, StoreError>;

    /// The position of the last event, 0 in an empty log.
    async fn head(&self) -> Result<u64, StoreError>;

    /// Every event above `after` in order, in batches: first what is there, then what comes. Survives lost
    /// connections by reading on from where it was; ends only when dropped.
    fn subscribe(&self, after: u64) -> BoxStream<'static, Vec<RecordedEvent>>;
}

/// Where an append ended up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// The stream's version now: that of the last event appended.
    pub version: u64,
    /// The log's position of the last event appended.
    pub position: u64,
}

/// Why a store did not do what it was asked to.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Someone else appended first, or the caller's picture was wrong from the start.
    #[error("stream {stream} is at version {actual}, not {expected}")]
    Conflict {
        /// Which stream.
        stream: StreamName,
        /// What the caller expected.
        expected: u64,
        /// What it is.
        actual: u64,
    },
    /// An append of nothing.
    #[error("an append needs at least one event")]
    Empty,
    /// The store cannot be reached or cannot write. Worth another try later.
    #[error("the event store is unavailable: {0}")]
    Unavailable(#[source] std::sync::Arc<dyn std::error::Error + Send + Sync>),
    /// A record in the store is not what this build wrote.
    #[error("the event store holds a record that cannot be read: {0}")]
    Corrupt(String),
}

impl StoreError {
    /// Wraps a backend's own error.
    pub fn unavailable(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unavailable(std::sync::Arc::from(source.into()))
    }
}

/// All events of `stream`, read in pages.
///
/// # Errors
/// As [`EventStore::read_stream`].
pub async fn read_whole_stream(
    store: &dyn EventStore,
    stream: &StreamName,
) -> Result<Vec<RecordedEvent>, StoreError> {
    const PAGE: usize = 1_000;
    let mut events = Vec::new();
    loop {
        let after = events.last().map_or(0, |event: &RecordedEvent| event.version);
        let page = store.read_stream(stream, after, PAGE).await?;
        let last = page.len() < PAGE;
        events.extend(page);
        if last {
            return Ok(events);
        }
    }
}

//! The trait of an event store. It never interprets payloads.

use std::ops::ControlFlow;

use async_trait::async_trait;
use events::{EventDigest, EventId, LogPoint, NewEvent, RecordedEvent, StoredEvent, StreamName};
use futures::stream::BoxStream;

use crate::{DropError, Entry, ImportError, Page, StoreError, UnfinishedImport};

/// The most events in a page of a stream.
const STREAM_PAGE: usize = 512;

/// How far apart two events are where positions have gaps. There they count bytes, and most events are small.
const BYTES_OF_EVENT: u64 = 1_024;

/// An append-only log of streams with one global order.
///
/// Every backend passes the same conformance suite (`tests/conformance/`).
#[async_trait]
pub trait EventStore: Send + Sync + 'static {
    /// Appends `events`, all or none, if `stream` is at `expected_version` (0: empty). When this returns,
    /// they are durable and visible to every reader.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the stream is at another version; [`StoreError::Empty`] without events;
    /// [`StoreError::TooLarge`] with too many bytes. After [`StoreError::Unavailable`] the events may or may not have
    /// been appended.
    async fn append(
        &self,
        stream: &StreamName,
        expected_version: u64,
        events: Vec<NewEvent>,
    ) -> Result<Appended, StoreError>;

    /// Writes `events` of another log after the end of this one, which must be `after`, in the given order. They keep
    /// their ids, versions, times and bytes, and get the next positions of this log. When this returns, they are
    /// durable. Returns the end of the log.
    ///
    /// # Errors
    /// [`ImportError::MovedOn`] when the log ends elsewhere, [`ImportError::Refused`] for an event that the store
    /// cannot hold or whose stream is not at the version before it: then the SQL stores have written nothing, and
    /// KurrentDB what is before it. After [`ImportError::Store`] the events, or the first of them, may or may not have
    /// been written.
    async fn import(&self, after: LogPoint, events: &[StoredEvent]) -> Result<LogPoint, ImportError>;

    /// Removes the payloads of `events` from the log for good, all or none. Keeps everything else, and the SHA-256 of
    /// each payload. Payloads that were dropped earlier are skipped. Returns how many this call has dropped.
    ///
    /// Within a stream the last events are dropped first: a reader that finds a dropped one finds no payload after
    /// it, except those of events that need no earlier state.
    ///
    /// # Errors
    /// [`DropError::Unsupported`] by a store that cannot change what it holds, also when `events` is empty;
    /// [`DropError::Differs`] when the log does not hold one of them.
    async fn drop_payloads(&self, events: &[EventDigest]) -> Result<u64, DropError>;

    /// Whether this store can hold an event of another log, as far as the event alone shows. [`Self::import`] refuses
    /// every event that this refuses.
    ///
    /// # Errors
    /// [`ImportError::Refused`] when it cannot.
    fn check_import(&self, event: &StoredEvent) -> Result<(), ImportError>;

    /// Records durably that an import has begun, or with `None` that it has ended. In between the log is incomplete
    /// and must not be used: [`Self::unfinished_import`] tells this when it is opened.
    async fn note_import(&self, unfinished: Option<&UnfinishedImport>) -> Result<(), StoreError>;

    /// The import that has begun and not ended, if there is one.
    async fn unfinished_import(&self) -> Result<Option<UnfinishedImport>, StoreError>;

    /// The last event of `stream`, without its payload; `None` when the stream is empty. The cost does not depend on
    /// the length of the stream.
    async fn stream_head(&self, stream: &StreamName) -> Result<Option<StreamHead>, StoreError>;

    /// The records of `stream` with a version above `after_version`, oldest first: up to `limit`, or fewer when they
    /// reach [`crate::PAGE_BYTES`].
    async fn stream_page(
        &self,
        stream: &StreamName,
        after_version: u64,
        limit: usize,
    ) -> Result<Page, StoreError>;

    /// The records of the log with a position above `after`, in order: up to `limit`, or fewer when they reach
    /// [`crate::PAGE_BYTES`]. No record appears later at a position below one that was returned.
    async fn log_page(&self, after: u64, limit: usize) -> Result<Page, StoreError>;

    /// Like [`Self::log_page`], with the records exactly as they are stored, including records that no append has
    /// written: `after` may be below every valid position.
    async fn stored_page(&self, after: i64, limit: usize) -> Result<StoredPage, StoreError>;

    /// The record at `position`; `None` where the log has none. One indexed read: where positions have gaps, a page
    /// after the position before it may cost a read of the whole log.
    async fn record_at(&self, position: u64) -> Result<Option<Entry>, StoreError>;

    /// Like [`Self::record_at`], with the record exactly as it is stored.
    async fn stored_at(&self, position: u64) -> Result<Option<StoredEvent>, StoreError>;

    /// Up to `limit` events of `stream` with a version above `after_version`, oldest first. For callers that need all
    /// of them.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when one of them cannot be read.
    async fn read_stream(
        &self,
        stream: &StreamName,
        after_version: u64,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, StoreError> {
        let mut events: Vec<RecordedEvent> = Vec::new();
        loop {
            let after = events.last().map_or(after_version, |event| event.version);
            let page = self.stream_page(stream, after, limit - events.len()).await?;
            let more = page.more;
            events.extend(page.readable()?);
            if !more || events.len() >= limit {
                return Ok(events);
            }
        }
    }

    /// The position of the last event, 0 in an empty log. No event that was acknowledged before the call is after it.
    ///
    /// # Errors
    /// When the log cannot be reached, or its end is not found in time.
    async fn head(&self) -> Result<u64, StoreError>;

    /// Checks that the log accepts appends now, as far as possible without one. For readiness.
    ///
    /// # Errors
    /// When it cannot be reached, is read-only, or has no space.
    async fn can_append(&self) -> Result<(), StoreError> {
        self.head().await.map(drop)
    }

    /// The ids of the events at `positions`, in the given order; `None` where the log has no event. Costs an index
    /// lookup for each.
    async fn identify(&self, positions: &[u64]) -> Result<Vec<Option<EventId>>, StoreError>;

    /// Whether positions are 1, 2, 3 …, so that a missing one shows that the log is damaged.
    fn positions_are_dense(&self) -> bool;

    /// About how many events are above the position `after`, up to the position `to`: the exact number where positions
    /// are dense, and an estimate elsewhere. What is meant in events must be compared with this and not with a
    /// difference of positions.
    fn events_between(&self, after: u64, to: u64) -> u64 {
        let positions = to.saturating_sub(after);
        match self.positions_are_dense() {
            true => positions,
            false => positions.div_ceil(BYTES_OF_EVENT),
        }
    }

    /// Decrypts events that did not come from this store, for example from the bus, where they are sent as they are
    /// stored. In the given order; an event that cannot be read is returned as in a page.
    async fn opened(&self, events: Vec<RecordedEvent>) -> Result<Vec<Entry>, StoreError> {
        Ok(events.into_iter().map(Ok).collect())
    }

    /// All records above `after` in order, page by page: first the existing ones, then new ones as they are appended.
    /// After a lost connection it continues where it was. It ends only when it is dropped.
    fn subscribe(&self, after: u64) -> BoxStream<'static, Page>;
}

/// Consecutive records of the log as they are stored.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoredPage {
    /// The records, in order.
    pub events: Vec<StoredEvent>,
    /// Whether there may be more after these: the page is full by number or by bytes.
    pub more: bool,
}

/// The end of a stream after an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// The version of the stream, which is that of the last appended event.
    pub version: u64,
    /// The log's position of the last event appended.
    pub position: u64,
}

/// The end of a stream. Version and id together identify a state of the stream in one history of the log. A caller
/// that stores a state with them can check whether it is still current.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamHead {
    /// The stream's version.
    pub version: u64,
    /// The log's position of its last event.
    pub position: u64,
    /// The id of its last event.
    pub id: EventId,
}

/// Gives the records of `stream` with a version above `after_version` to `each`, oldest first, until there are no more
/// or `each` stops. At most one page is in memory at once.
///
/// # Errors
/// When the store does not answer; those of `each`.
pub async fn for_each_entry<E: From<StoreError>>(
    store: &dyn EventStore,
    stream: &StreamName,
    mut after_version: u64,
    mut each: impl FnMut(Entry) -> Result<ControlFlow<()>, E> + Send,
) -> Result<(), E> {
    loop {
        let page = store.stream_page(stream, after_version, STREAM_PAGE).await?;
        let more = page.more;
        after_version = page.version().unwrap_or(after_version);
        for entry in page.entries {
            if each(entry)?.is_break() {
                return Ok(());
            }
        }
        if !more {
            return Ok(());
        }
    }
}

//! A log for tests: the query API only asks it which events exist.

use std::{
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use event_store::{
    Appended, DropError, Entry, EventStore, ImportError, Page, StoreError, StoredPage, StreamHead,
    UnfinishedImport,
};
use events::{EventDigest, EventId, LogPoint, NewEvent, StoredEvent, StreamName};
use futures::stream::{self, BoxStream, StreamExt};
use uuid::Uuid;

/// A log with an event at every position up to its end. The id follows from the position.
pub(crate) struct TestLog {
    end: AtomicU64,
    asking: AtomicUsize,
    most_asking: AtomicUsize,
}

impl TestLog {
    /// A log with every event that is asked for, and no end that a projection could be behind.
    pub(crate) const fn endless() -> Self {
        Self { end: AtomicU64::new(u64::MAX), asking: AtomicUsize::new(0), most_asking: AtomicUsize::new(0) }
    }

    /// How many have asked for its end at the same time, at most.
    pub(crate) fn most_asking(&self) -> usize {
        self.most_asking.load(Ordering::SeqCst)
    }

    pub(crate) fn ends_at(&self, position: u64) {
        self.end.store(position, Ordering::SeqCst);
    }

    pub(crate) fn id(position: u64) -> EventId {
        EventId(Uuid::from_u128(u128::from(position)))
    }
}

#[async_trait]
impl EventStore for TestLog {
    async fn append(&self, _: &StreamName, _: u64, _: Vec<NewEvent>) -> Result<Appended, StoreError> {
        Err(StoreError::Empty)
    }

    async fn import(&self, _: LogPoint, _: &[StoredEvent]) -> Result<LogPoint, ImportError> {
        Err(StoreError::Empty.into())
    }

    async fn drop_payloads(&self, _: &[EventDigest]) -> Result<u64, DropError> {
        Err(DropError::Unsupported)
    }

    fn check_import(&self, _: &StoredEvent) -> Result<(), ImportError> {
        Err(StoreError::Empty.into())
    }

    async fn note_import(&self, _: Option<&UnfinishedImport>) -> Result<(), StoreError> {
        Err(StoreError::Empty)
    }

    async fn unfinished_import(&self) -> Result<Option<UnfinishedImport>, StoreError> {
        Ok(None)
    }

    async fn stream_head(&self, _: &StreamName) -> Result<Option<StreamHead>, StoreError> {
        Ok(None)
    }

    async fn stream_page(&self, _: &StreamName, _: u64, _: usize) -> Result<Page, StoreError> {
        Ok(Page::default())
    }

    async fn log_page(&self, _: u64, _: usize) -> Result<Page, StoreError> {
        Ok(Page::default())
    }

    async fn stored_page(&self, _: i64, _: usize) -> Result<StoredPage, StoreError> {
        Ok(StoredPage::default())
    }

    async fn record_at(&self, _: u64) -> Result<Option<Entry>, StoreError> {
        Ok(None)
    }

    async fn stored_at(&self, _: u64) -> Result<Option<StoredEvent>, StoreError> {
        Ok(None)
    }

    async fn head(&self) -> Result<u64, StoreError> {
        let asking = self.asking.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_asking.fetch_max(asking, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(1)).await;
        self.asking.fetch_sub(1, Ordering::SeqCst);
        let end = self.end.load(Ordering::SeqCst);
        Ok(if end == u64::MAX { 0 } else { end })
    }

    async fn identify(&self, positions: &[u64]) -> Result<Vec<Option<EventId>>, StoreError> {
        let end = self.end.load(Ordering::SeqCst);
        Ok(positions
            .iter()
            .map(|position| (1..=end).contains(position).then(|| Self::id(*position)))
            .collect())
    }

    fn positions_are_dense(&self) -> bool {
        true
    }

    fn subscribe(&self, _: u64) -> BoxStream<'static, Page> {
        stream::pending().boxed()
    }
}

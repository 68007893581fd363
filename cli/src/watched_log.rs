//! The log as a command reads it, which remembers how far it was read.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use ::events::{EventDigest, EventId, LogPoint, NewEvent, RecordedEvent, StoredEvent, StreamName};
use async_trait::async_trait;
use event_store::{
    Appended, DropError, Entry, EventStore, ImportError, Page, StoreError, StoredPage, StreamHead,
    UnfinishedImport,
};
use futures::stream::BoxStream;

/// A log that is read by one command.
pub(crate) struct WatchedLog {
    inner: Arc<dyn EventStore>,
    position: AtomicU64,
}

impl WatchedLog {
    pub(crate) fn over(inner: Arc<dyn EventStore>) -> Arc<Self> {
        let position = AtomicU64::new(0);
        Arc::new(Self { inner, position })
    }

    /// The last position that was read.
    pub(crate) fn position(&self) -> u64 {
        self.position.load(Ordering::Relaxed)
    }

    fn note(&self, position: Option<u64>) {
        if let Some(position) = position {
            self.position.store(position, Ordering::Relaxed);
        }
    }
}

#[async_trait]
impl EventStore for WatchedLog {
    async fn log_page(&self, after: u64, limit: usize) -> Result<Page, StoreError> {
        let page = self.inner.log_page(after, limit).await?;
        self.note(page.position());
        Ok(page)
    }

    async fn stored_page(&self, after: i64, limit: usize) -> Result<StoredPage, StoreError> {
        let page = self.inner.stored_page(after, limit).await?;
        let last = page.events.last();
        self.note(last.and_then(|event| u64::try_from(event.position).ok()));
        Ok(page)
    }

    async fn record_at(&self, position: u64) -> Result<Option<Entry>, StoreError> {
        self.inner.record_at(position).await
    }

    async fn stored_at(&self, position: u64) -> Result<Option<StoredEvent>, StoreError> {
        self.inner.stored_at(position).await
    }

    async fn append(
        &self,
        stream: &StreamName,
        expected_version: u64,
        events: Vec<NewEvent>,
    ) -> Result<Appended, StoreError> {
        self.inner.append(stream, expected_version, events).await
    }

    async fn import(&self, after: LogPoint, events: &[StoredEvent]) -> Result<LogPoint, ImportError> {
        self.inner.import(after, events).await
    }

    async fn drop_payloads(&self, events: &[EventDigest]) -> Result<u64, DropError> {
        self.inner.drop_payloads(events).await
    }

    fn check_import(&self, event: &StoredEvent) -> Result<(), ImportError> {
        self.inner.check_import(event)
    }

    async fn note_import(&self, unfinished: Option<&UnfinishedImport>) -> Result<(), StoreError> {
        self.inner.note_import(unfinished).await
    }

    async fn unfinished_import(&self) -> Result<Option<UnfinishedImport>, StoreError> {
        self.inner.unfinished_import().await
    }

    async fn stream_head(&self, stream: &StreamName) -> Result<Option<StreamHead>, StoreError> {
        self.inner.stream_head(stream).await
    }

    async fn stream_page(
        &self,
        stream: &StreamName,
        after_version: u64,
        limit: usize,
    ) -> Result<Page, StoreError> {
        self.inner.stream_page(stream, after_version, limit).await
    }

    async fn head(&self) -> Result<u64, StoreError> {
        self.inner.head().await
    }

    async fn can_append(&self) -> Result<(), StoreError> {
        self.inner.can_append().await
    }

    async fn identify(&self, positions: &[u64]) -> Result<Vec<Option<EventId>>, StoreError> {
        self.inner.identify(positions).await
    }

    fn positions_are_dense(&self) -> bool {
        self.inner.positions_are_dense()
    }

    async fn opened(&self, events: Vec<RecordedEvent>) -> Result<Vec<Entry>, StoreError> {
        self.inner.opened(events).await
    }

    fn subscribe(&self, after: u64) -> BoxStream<'static, Page> {
        self.inner.subscribe(after)
    }
}

//! A real store that counts what is read from its streams.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use event_store::{
    Appended, DropError, EventStore, ImportError, Page, StoreError, StoredPage, StreamHead, UnfinishedImport,
};
use events::{EventDigest, EventId, LogPoint, NewEvent, StoredEvent, StreamName};
use futures::stream::BoxStream;

pub(crate) struct CountingStore {
    inner: Arc<dyn EventStore>,
    reads: AtomicUsize,
    events: AtomicUsize,
}

/// What was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cost {
    pub(crate) reads: usize,
    pub(crate) events: usize,
}

impl CountingStore {
    pub(crate) fn over(inner: Arc<dyn EventStore>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            reads: AtomicUsize::new(0),
            events: AtomicUsize::new(0),
        })
    }

    /// What was read since the last time.
    pub(crate) fn take(&self) -> Cost {
        Cost {
            reads: self.reads.swap(0, Ordering::SeqCst),
            events: self.events.swap(0, Ordering::SeqCst),
        }
    }
}

#[async_trait]
impl EventStore for CountingStore {
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
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.inner.stream_head(stream).await
    }

    async fn stream_page(
        &self,
        stream: &StreamName,
        after_version: u64,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let page = self.inner.stream_page(stream, after_version, limit).await?;
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.events.fetch_add(page.entries.len(), Ordering::SeqCst);
        Ok(page)
    }

    /// For the relay, as everything below.
    async fn log_page(&self, after: u64, limit: usize) -> Result<Page, StoreError> {
        self.inner.log_page(after, limit).await
    }

    async fn stored_page(&self, after: i64, limit: usize) -> Result<StoredPage, StoreError> {
        self.inner.stored_page(after, limit).await
    }

    async fn head(&self) -> Result<u64, StoreError> {
        self.inner.head().await
    }

    async fn identify(&self, positions: &[u64]) -> Result<Vec<Option<EventId>>, StoreError> {
        self.inner.identify(positions).await
    }

    fn positions_are_dense(&self) -> bool {
        self.inner.positions_are_dense()
    }

    fn subscribe(&self, after: u64) -> BoxStream<'static, Page> {
        self.inner.subscribe(after)
    }
}

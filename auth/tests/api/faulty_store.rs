//! A store that fails as a test wants it to.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use async_trait::async_trait;
use event_store::{Appended, EventStore, Page, StoreError, StreamHead};
use events::{EventId, NewEvent, StreamName};
use futures::stream::BoxStream;

/// What is broken.
#[derive(Default)]
pub(crate) struct Faults {
    /// Nothing works.
    pub(crate) down: AtomicBool,
    /// Appends to accounts do not, which is what a crash after a claim looks like.
    pub(crate) accounts: AtomicBool,
    /// Appends to sessions do not.
    pub(crate) sessions: AtomicBool,
    /// Reads never end.
    pub(crate) hangs: AtomicBool,
    /// Events that were read from streams.
    pub(crate) events_read: AtomicUsize,
    /// Appends work, but their answers get lost.
    pub(crate) answers: AtomicBool,
}

pub(crate) struct FaultyStore {
    pub(crate) store: Arc<dyn EventStore>,
    pub(crate) faults: Arc<Faults>,
}

impl FaultyStore {
    async fn wait_while_hanging(&self) {
        if self.faults.hangs.load(Ordering::SeqCst) {
            std::future::pending().await
        }
    }

    fn up(&self) -> Result<(), StoreError> {
        fail_if(&self.faults.down)
    }
}

fn fail_if(fault: &AtomicBool) -> Result<(), StoreError> {
    if fault.load(Ordering::SeqCst) {
        Err(StoreError::unavailable("broken"))
    } else {
        Ok(())
    }
}

#[async_trait]
impl EventStore for FaultyStore {
    async fn append(
        &self,
        stream: &StreamName,
        expected_version: u64,
        events: Vec<NewEvent>,
    ) -> Result<Appended, StoreError> {
        self.up()?;
        if stream.as_str().starts_with("account-") {
            fail_if(&self.faults.accounts)?;
        }
        if stream.as_str().starts_with("session-") {
            fail_if(&self.faults.sessions)?;
        }
        let appended = self.store.append(stream, expected_version, events).await?;
        fail_if(&self.faults.answers)?;
        Ok(appended)
    }

    async fn stream_head(&self, stream: &StreamName) -> Result<Option<StreamHead>, StoreError> {
        self.up()?;
        self.wait_while_hanging().await;
        self.store.stream_head(stream).await
    }

    async fn stream_page(
        &self,
        stream: &StreamName,
        after_version: u64,
        limit: usize,
    ) -> Result<Page, StoreError> {
        self.up()?;
        self.wait_while_hanging().await;
        let page = self.store.stream_page(stream, after_version, limit).await?;
        self.faults
            .events_read
            .fetch_add(page.entries.len(), Ordering::SeqCst);
        Ok(page)
    }

    async fn log_page(&self, after: u64, limit: usize) -> Result<Page, StoreError> {
        self.up()?;
        self.store.log_page(after, limit).await
    }

    async fn head(&self) -> Result<u64, StoreError> {
        self.up()?;
        self.store.head().await
    }

    async fn identify(&self, positions: &[u64]) -> Result<Vec<Option<EventId>>, StoreError> {
        self.up()?;
        self.store.identify(positions).await
    }

    fn positions_are_dense(&self) -> bool {
        self.store.positions_are_dense()
    }

    fn subscribe(&self, after: u64) -> BoxStream<'static, Page> {
        self.store.subscribe(after)
    }
}

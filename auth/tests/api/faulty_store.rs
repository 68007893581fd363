//! A store that fails as a test wants it to.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
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
    /// Appends work, but their answers get lost.
    pub(crate) answers: AtomicBool,
}

pub(crate) struct FaultyStore {
    pub(crate) store: Arc<dyn EventStore>,
    pub(crate) faults: Arc<Faults>,
}

impl FaultyStore {
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
        let appended = self.store.append(stream, expected_version, events).await?;
        fail_if(&self.faults.answers)?;
        Ok(appended)
    }

    async fn stream_head(&self, stream: &StreamName) -> Result<Option<StreamHead>, StoreError> {
        self.up()?;
        self.store.stream_head(stream).await
    }

    async fn stream_page(
        &self,
        stream: &StreamName,
        after_version: u64,
        limit: usize,
    ) -> Result<Page, StoreError> {
        self.up()?;
        self.store.stream_page(stream, after_version, limit).await
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

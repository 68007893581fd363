//! A store that fails as a test wants it to.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use event_store::{Appended, EventStore, StoreError, StreamHead};
use events::{NewEvent, RecordedEvent, StreamName};
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

    async fn read_stream(
        &self,
        stream: &StreamName,
        after: u64,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, StoreError> {
        self.up()?;
        self.store.read_stream(stream, after, limit).await
    }

    async fn read_all(&self, after: u64, limit: usize) -> Result<Vec<RecordedEvent>, StoreError> {
        self.up()?;
        self.store.read_all(after, limit).await
    }

    async fn head(&self) -> Result<u64, StoreError> {
        self.up()?;
        self.store.head().await
    }

    fn subscribe(&self, after: u64) -> BoxStream<'static, Vec<RecordedEvent>> {
        self.store.subscribe(after)
    }
}

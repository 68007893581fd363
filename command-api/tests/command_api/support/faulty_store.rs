//! A real store behind a switch: down, or forgetful of what it has answered.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use async_trait::async_trait;
use event_store::{Appended, EventStore, Page, StoreError, StreamHead};
use events::{EventId, NewEvent, StreamName};
use futures::stream::BoxStream;
use tokio::sync::{RwLock, oneshot};

pub(crate) struct FaultyStore {
    inner: Arc<dyn EventStore>,
    /// Nothing works.
    pub(crate) down: AtomicBool,
    /// After so many appends the next ones fail.
    pub(crate) appends_left: AtomicUsize,
    /// While somebody holds this for writing, appends wait.
    pub(crate) appending: RwLock<()>,
    /// The next append works, but its answer comes only when told to.
    pub(crate) hold_next_answer: Mutex<Option<oneshot::Receiver<()>>>,
    /// The next append works, but its answer never comes.
    pub(crate) hang_next_answer: AtomicBool,
    /// The next append works, but its answer is lost.
    pub(crate) lose_next_answer: AtomicBool,
}

impl FaultyStore {
    pub(crate) fn over(inner: Arc<dyn EventStore>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            down: AtomicBool::new(false),
            appends_left: AtomicUsize::new(usize::MAX),
            appending: RwLock::new(()),
            hold_next_answer: Mutex::new(None),
            hang_next_answer: AtomicBool::new(false),
            lose_next_answer: AtomicBool::new(false),
        })
    }

    fn check(&self) -> Result<(), StoreError> {
        if self.down.load(Ordering::SeqCst) {
            Err(StoreError::unavailable("switched off"))
        } else {
            Ok(())
        }
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
        self.check()?;
        let left = |left: usize| left.checked_sub(1);
        if self
            .appends_left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, left)
            .is_err()
        {
            return Err(StoreError::unavailable("no appends left"));
        }
        let _appending = self.appending.read().await;
        let appended = self.inner.append(stream, expected_version, events).await?;
        let held = self.hold_next_answer.lock().unwrap().take();
        if let Some(released) = held {
            released.await.unwrap();
        }
        if self.hang_next_answer.swap(false, Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        if self.lose_next_answer.swap(false, Ordering::SeqCst) {
            return Err(StoreError::unavailable("the answer was lost"));
        }
        Ok(appended)
    }

    async fn stream_head(&self, stream: &StreamName) -> Result<Option<StreamHead>, StoreError> {
        self.check()?;
        self.inner.stream_head(stream).await
    }

    async fn stream_page(
        &self,
        stream: &StreamName,
        after_version: u64,
        limit: usize,
    ) -> Result<Page, StoreError> {
        self.check()?;
        self.inner.stream_page(stream, after_version, limit).await
    }

    async fn log_page(&self, after: u64, limit: usize) -> Result<Page, StoreError> {
        self.check()?;
        self.inner.log_page(after, limit).await
    }

    async fn head(&self) -> Result<u64, StoreError> {
        self.check()?;
        self.inner.head().await
    }

    async fn identify(&self, positions: &[u64]) -> Result<Vec<Option<EventId>>, StoreError> {
        self.check()?;
        self.inner.identify(positions).await
    }

    fn positions_are_dense(&self) -> bool {
        self.inner.positions_are_dense()
    }

    fn subscribe(&self, after: u64) -> BoxStream<'static, Page> {
        self.inner.subscribe(after)
    }
}

//! A real store with faults that tests switch on.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use event_store::{
    Appended, DropError, Entry, EventStore, ImportError, Page, StoreError, StoredPage, StreamHead,
    UnfinishedImport,
};
use events::{EventDigest, EventId, LogPoint, NewEvent, RecordedEvent, StoredEvent, StreamName};
use futures::{StreamExt as _, stream::BoxStream};
use tokio::sync::{RwLock, oneshot};

/// A store over another, with a switch for each fault.
pub struct FaultyStore {
    inner: Arc<dyn EventStore>,
    /// Whether every call fails.
    pub down: AtomicBool,
    /// Whether subscriptions bring nothing.
    pub subscriptions_hang: Arc<AtomicBool>,
    /// Whether reads of streams never end.
    pub hangs: AtomicBool,
    /// Pages of these streams never come.
    pub silent: Mutex<Vec<StreamName>>,
    /// While somebody holds this for writing, reads of streams wait.
    pub reading: RwLock<()>,
    /// How long a page of the log takes.
    pub page_takes: Mutex<Duration>,
    /// How long a page of a stream takes.
    pub stream_page_takes: Mutex<Duration>,
    /// Whether appends to accounts fail, as after a crash that follows a claim.
    pub accounts: AtomicBool,
    /// Whether appends to sessions fail.
    pub sessions: AtomicBool,
    /// After this many appends the next ones fail.
    pub appends_left: AtomicUsize,
    /// While somebody holds this for writing, appends wait.
    pub appending: RwLock<()>,
    /// The next append works, but its answer comes only when told to.
    pub hold_next_answer: Mutex<Option<oneshot::Receiver<()>>>,
    /// The next append works, but its answer never comes.
    pub hang_next_answer: AtomicBool,
    /// The next append works, but its answer and that of the next read of a stream are lost.
    pub lose_next_answer: AtomicBool,
    /// The same of the next append to a session.
    pub lose_next_session_answer: AtomicBool,
    lose_next_read: AtomicBool,
    /// Appends work, but their answers are lost.
    pub lose_answers: AtomicBool,
    /// The most bytes of an imported event.
    pub most_imported_bytes: AtomicUsize,
    /// How often streams were read.
    pub reads: AtomicUsize,
    /// How many events were read from streams.
    pub events_read: AtomicUsize,
}

/// The reads of streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// The number of reads.
    pub reads: usize,
    /// The number of events that were read.
    pub events: usize,
}

impl FaultyStore {
    /// Works like `inner`, until a fault is switched on.
    pub fn over(inner: Arc<dyn EventStore>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            down: AtomicBool::new(false),
            subscriptions_hang: Arc::default(),
            hangs: AtomicBool::new(false),
            silent: Mutex::default(),
            reading: RwLock::new(()),
            page_takes: Mutex::default(),
            stream_page_takes: Mutex::default(),
            accounts: AtomicBool::new(false),
            sessions: AtomicBool::new(false),
            appends_left: AtomicUsize::new(usize::MAX),
            appending: RwLock::new(()),
            hold_next_answer: Mutex::new(None),
            hang_next_answer: AtomicBool::new(false),
            lose_next_answer: AtomicBool::new(false),
            lose_next_session_answer: AtomicBool::new(false),
            lose_next_read: AtomicBool::new(false),
            lose_answers: AtomicBool::new(false),
            most_imported_bytes: AtomicUsize::new(usize::MAX),
            reads: AtomicUsize::new(0),
            events_read: AtomicUsize::new(0),
        })
    }

    /// The reads since the last call.
    pub fn take_cost(&self) -> Cost {
        Cost {
            reads: self.reads.swap(0, Ordering::SeqCst),
            events: self.events_read.swap(0, Ordering::SeqCst),
        }
    }

    fn check(&self) -> Result<(), StoreError> {
        fail_if(&self.down, "switched off")
    }

    async fn check_read(&self) -> Result<(), StoreError> {
        self.check()?;
        self.reads.fetch_add(1, Ordering::SeqCst);
        if self.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        let _reading = self.reading.read().await;
        Ok(())
    }
}

fn fail_if(fault: &AtomicBool, reason: &'static str) -> Result<(), StoreError> {
    match fault.load(Ordering::SeqCst) {
        true => Err(StoreError::unavailable(reason)),
        false => Ok(()),
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
        if stream.as_str().starts_with("account-") {
            fail_if(&self.accounts, "no appends to accounts")?;
        }
        if stream.as_str().starts_with("session-") {
            fail_if(&self.sessions, "no appends to sessions")?;
        }
        let left = |left: usize| left.checked_sub(1);
        if self.appends_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, left).is_err() {
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
        let is_of_session = stream.as_str().starts_with("session-");
        if self.lose_next_answer.swap(false, Ordering::SeqCst)
            || (is_of_session && self.lose_next_session_answer.swap(false, Ordering::SeqCst))
        {
            self.lose_next_read.store(true, Ordering::SeqCst);
            return Err(StoreError::unavailable("the answer was lost"));
        }
        fail_if(&self.lose_answers, "the answer was lost")?;
        Ok(appended)
    }

    async fn import(&self, after: LogPoint, events: &[StoredEvent]) -> Result<LogPoint, ImportError> {
        self.check()?;
        events.iter().try_for_each(|event| self.check_import(event))?;
        self.inner.import(after, events).await
    }

    async fn drop_payloads(&self, events: &[EventDigest]) -> Result<u64, DropError> {
        self.check()?;
        self.inner.drop_payloads(events).await
    }

    fn check_import(&self, event: &StoredEvent) -> Result<(), ImportError> {
        if event.data.size() + event.metadata.len() > self.most_imported_bytes.load(Ordering::SeqCst) {
            return Err(ImportError::refused(event, "it is too large"));
        }
        self.inner.check_import(event)
    }

    async fn note_import(&self, unfinished: Option<&UnfinishedImport>) -> Result<(), StoreError> {
        self.check()?;
        self.inner.note_import(unfinished).await
    }

    async fn unfinished_import(&self) -> Result<Option<UnfinishedImport>, StoreError> {
        self.check()?;
        self.inner.unfinished_import().await
    }

    async fn stream_head(&self, stream: &StreamName) -> Result<Option<StreamHead>, StoreError> {
        self.check_read().await?;
        self.inner.stream_head(stream).await
    }

    async fn stream_page(
        &self,
        stream: &StreamName,
        after_version: u64,
        limit: usize,
    ) -> Result<Page, StoreError> {
        self.check_read().await?;
        if self.lose_next_read.swap(false, Ordering::SeqCst) {
            return Err(StoreError::unavailable("the answer was lost"));
        }
        if self.silent.lock().unwrap().contains(stream) {
            std::future::pending::<()>().await;
        }
        let page_takes = *self.stream_page_takes.lock().unwrap();
        tokio::time::sleep(page_takes).await;
        let page = self.inner.stream_page(stream, after_version, limit).await?;
        self.events_read.fetch_add(page.entries.len(), Ordering::SeqCst);
        Ok(page)
    }

    async fn log_page(&self, after: u64, limit: usize) -> Result<Page, StoreError> {
        self.check()?;
        let page_takes = *self.page_takes.lock().unwrap();
        tokio::time::sleep(page_takes).await;
        self.inner.log_page(after, limit).await
    }

    async fn stored_page(&self, after: i64, limit: usize) -> Result<StoredPage, StoreError> {
        self.check()?;
        self.inner.stored_page(after, limit).await
    }

    async fn record_at(&self, position: u64) -> Result<Option<Entry>, StoreError> {
        self.check()?;
        let page_takes = *self.page_takes.lock().unwrap();
        tokio::time::sleep(page_takes).await;
        self.inner.record_at(position).await
    }

    async fn stored_at(&self, position: u64) -> Result<Option<StoredEvent>, StoreError> {
        self.check()?;
        self.inner.stored_at(position).await
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

    async fn opened(&self, events: Vec<RecordedEvent>) -> Result<Vec<Entry>, StoreError> {
        self.inner.opened(events).await
    }

    fn subscribe(&self, after: u64) -> BoxStream<'static, Page> {
        let hangs = Arc::clone(&self.subscriptions_hang);
        let pages = self.inner.subscribe(after);
        pages
            .then(move |page| {
                let hangs = Arc::clone(&hangs);
                async move {
                    while hangs.load(Ordering::SeqCst) {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                    page
                }
            })
            .boxed()
    }
}

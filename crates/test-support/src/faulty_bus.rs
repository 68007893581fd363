//! A real bus that fails as a test wants it to, and remembers what was published.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bus::{
    Bus, BusCounts, BusError, EventConsumer, EventMessage, Heard, InProcessBus, Listener, Responder,
    ResponderOptions,
};
use bytes::Bytes;
use events::PartitionCount;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// A bus over another, with a switch for each fault.
pub struct FaultyBus {
    inner: Arc<dyn Bus>,
    /// Whether every call fails, as without a broker.
    pub down: AtomicBool,
    /// No publication with the event at this position is taken. No event has the position 0.
    pub refused_position: AtomicU64,
    /// Publications of this partition never come back.
    pub stuck_partition: Mutex<Option<u16>>,
    /// Whether broadcasts never come back.
    pub broadcasts_hang: AtomicBool,
    /// Requests to this queue are never answered.
    pub silent_queue: Mutex<Option<&'static str>>,
    /// So long the process stands still while the next request to this queue is answered.
    pub standstill: Mutex<Option<(&'static str, Duration)>>,
    /// Requests to this queue panic, as with a bug in the bus.
    pub panicking_queue: Mutex<Option<&'static str>>,
    /// This many calls of `listen` fail.
    pub listens_to_refuse: AtomicUsize,
    /// For each permit a listener hears once that it may have missed something.
    pub gaps: Arc<Semaphore>,
    /// How often `broadcast` was called.
    pub broadcasts: AtomicUsize,
    /// How often `consume` was called.
    pub consumes: AtomicUsize,
    /// How often `listen` was called.
    pub listens: AtomicUsize,
    published: Mutex<Vec<EventMessage>>,
}

impl FaultyBus {
    /// Works as a bus within this process does, until a switch is thrown.
    pub fn new() -> Arc<Self> {
        Self::over(InProcessBus::new())
    }

    /// Works as `inner` does, until a switch is thrown.
    pub fn over(inner: Arc<dyn Bus>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            down: AtomicBool::new(false),
            refused_position: AtomicU64::new(0),
            stuck_partition: Mutex::default(),
            broadcasts_hang: AtomicBool::new(false),
            silent_queue: Mutex::default(),
            standstill: Mutex::default(),
            panicking_queue: Mutex::default(),
            listens_to_refuse: AtomicUsize::new(0),
            gaps: Arc::new(Semaphore::new(0)),
            broadcasts: AtomicUsize::new(0),
            consumes: AtomicUsize::new(0),
            listens: AtomicUsize::new(0),
            published: Mutex::default(),
        })
    }

    /// What was taken, in that order.
    pub fn published(&self) -> Vec<EventMessage> {
        self.published.lock().unwrap().clone()
    }

    /// The positions of what was taken, each once, in the order of the log.
    pub fn published_positions(&self) -> Vec<u64> {
        let published = self.published.lock().unwrap();
        let mut positions: Vec<u64> = published.iter().map(|message| message.event.position).collect();
        positions.sort_unstable();
        positions.dedup();
        positions
    }

    /// Forgets what was taken so far.
    pub fn forget_published(&self) {
        self.published.lock().unwrap().clear();
    }

    fn check(&self) -> Result<(), BusError> {
        match self.down.load(Ordering::SeqCst) {
            true => Err(BusError::unavailable("switched off")),
            false => Ok(()),
        }
    }

    async fn check_publication(&self, messages: &[EventMessage]) -> Result<(), BusError> {
        self.check()?;
        let stuck = *self.stuck_partition.lock().unwrap();
        if messages.iter().any(|message| Some(message.partition) == stuck) {
            std::future::pending::<()>().await;
        }
        let refused = self.refused_position.load(Ordering::SeqCst);
        match messages.iter().any(|message| message.event.position == refused) {
            true => Err(BusError::unavailable("the channel was closed")),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl Bus for FaultyBus {
    async fn publish(&self, messages: &[EventMessage]) -> Result<(), BusError> {
        self.check_publication(messages).await?;
        self.inner.publish(messages).await?;
        self.published.lock().unwrap().extend_from_slice(messages);
        Ok(())
    }

    async fn consume(
        &self,
        partitions: PartitionCount,
        partition: u16,
    ) -> Result<Box<dyn EventConsumer>, BusError> {
        self.consumes.fetch_add(1, Ordering::SeqCst);
        self.check()?;
        self.inner.consume(partitions, partition).await
    }

    async fn request(&self, queue: &str, request: Bytes, deadline: Duration) -> Result<Bytes, BusError> {
        self.check()?;
        if *self.silent_queue.lock().unwrap() == Some(queue) {
            std::future::pending::<()>().await;
        }
        let panics = *self.panicking_queue.lock().unwrap() == Some(queue);
        assert!(!panics, "a bug in the bus");
        let reply = self.inner.request(queue, request, deadline).await;
        let standstill = self.standstill.lock().unwrap().take_if(|(name, _)| *name == queue);
        if let Some((_, standstill)) = standstill {
            std::thread::sleep(standstill);
        }
        reply
    }

    async fn serve(
        &self,
        queue: &str,
        options: ResponderOptions,
        responder: Arc<dyn Responder>,
        stop: CancellationToken,
    ) -> Result<(), BusError> {
        self.check()?;
        self.inner.serve(queue, options, responder, stop).await
    }

    async fn broadcast(&self, topic: &str, message: Bytes) -> Result<(), BusError> {
        self.broadcasts.fetch_add(1, Ordering::SeqCst);
        self.check()?;
        if self.broadcasts_hang.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        self.inner.broadcast(topic, message).await
    }

    async fn listen(&self, topic: &str) -> Result<Box<dyn Listener>, BusError> {
        self.listens.fetch_add(1, Ordering::SeqCst);
        self.check()?;
        let left = |left: usize| left.checked_sub(1);
        let refused = self.listens_to_refuse.fetch_update(Ordering::SeqCst, Ordering::SeqCst, left);
        if refused.is_ok() {
            return Err(BusError::unavailable("not yet"));
        }
        Ok(Box::new(FaultyListener { inner: self.inner.listen(topic).await?, gaps: Arc::clone(&self.gaps) }))
    }

    fn is_connected(&self) -> bool {
        self.check().is_ok() && self.inner.is_connected()
    }

    fn counts(&self) -> BusCounts {
        self.inner.counts()
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

/// Hears gaps besides what there is to hear.
struct FaultyListener {
    inner: Box<dyn Listener>,
    gaps: Arc<Semaphore>,
}

#[async_trait]
impl Listener for FaultyListener {
    async fn next(&mut self) -> Heard {
        tokio::select! {
            gap = self.gaps.acquire() => {
                gap.unwrap().forget();
                Heard::Gap
            }
            heard = self.inner.next() => heard,
        }
    }
}

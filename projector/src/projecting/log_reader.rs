//! Compares the checkpoints of this process's partitions with the log regularly, whatever the bus delivers. Reads
//! missing events from the store, once for all partitions, and passes them to the workers. Partitions that are far
//! behind are read separately, so that the others do not wait for them.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use events::LogPoint;
use futures::future::join_all;
use runtime::with_causes;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    error::ProjectError,
    projecting::{
        checkpoint,
        decode::{Decoded, decode},
        log_segment::LogSegment,
        readiness::Readiness,
        worker_context::{FAR, WorkerContext},
        workers::Workers,
    },
};

/// A partition that is more events behind than this is read after those that are nearly up to date.
const VERY_FAR: u64 = 10_000;

/// How often in a heartbeat the end of the log is read.
const LOOKS: u32 = 4;

/// The pages that are read before it is checked again which partitions are behind. The log may grow as fast as it is
/// read.
const PAGES: usize = 4;

/// How long one partition may delay the others before the next page.
const TIMEOUT: Duration = Duration::from_secs(1);

/// How long a stop waits for the last checkpoints.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

pub(crate) struct LogReader {
    pages: PageReader,
    readiness: Arc<Readiness>,
    stop: CancellationToken,
    /// The ends of the log at the last reads.
    heads: VecDeque<(Instant, u64)>,
    /// The number of messages that the bus had delivered at the last read.
    delivered: u64,
    far: watch::Sender<Vec<Behind>>,
    /// Notified when there is more to read than was known.
    more: Arc<Notify>,
}

/// Reads pages of the log and passes the events to their partitions.
#[derive(Clone)]
struct PageReader {
    context: WorkerContext,
    workers: Workers,
}

/// A partition that is behind the log.
#[derive(Clone)]
struct Behind {
    partition: u16,
    checkpoint: LogPoint,
    /// The point up to which segments were passed to its worker.
    handed: Option<LogPoint>,
    /// Whether its worker does not accept segments.
    stuck: bool,
}

impl LogReader {
    pub(crate) fn new(
        context: WorkerContext,
        workers: Workers,
        readiness: Arc<Readiness>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            pages: PageReader { context, workers },
            readiness,
            stop,
            heads: VecDeque::new(),
            delivered: 0,
            far: watch::Sender::default(),
            more: Arc::default(),
        }
    }

    /// Compares regularly until it is time to stop, and then once more, so that partitions without events are also at
    /// the end of the log.
    pub(crate) async fn run(mut self) {
        let (pages, stop) = (self.pages.clone(), self.stop.clone());
        let catching_up = pages.clone().catch_up(self.far.subscribe(), Arc::clone(&self.more));
        let reading = async { tokio::join!(self.look_again_and_again(), catching_up) };
        stop.run_until_cancelled(reading).await;
        let last = timeout(SHUTDOWN_TIMEOUT, pages.bring_idle_to_the_end()).await;
        if let Ok(Err(error)) = last {
            tracing::debug!(error = with_causes(&error), "cannot move the last checkpoints");
        }
    }

    /// Compares regularly; never returns.
    async fn look_again_and_again(&mut self) {
        let pause = self.pages.context.tuning.heartbeat / LOOKS;
        loop {
            match self.look().await {
                Ok(()) | Err(ProjectError::OtherLog) => self.readiness.has_read(),
                Err(error) => {
                    self.pages.tell(&error);
                    self.readiness.failed(with_causes(&error));
                }
            }
            let _ = timeout(pause, self.more.notified()).await;
        }
    }

    /// Compares once, and reads for partitions that are nearly up to date.
    async fn look(&mut self) -> Result<(), ProjectError> {
        let WorkerContext { applier, store, identity, bus, .. } = &self.pages.context;
        let checkpoints = checkpoint::load_all(&applier.read_models, applier.partitions).await?;
        let head = store.head().await?;
        applier.metrics.head_is(head);
        applier.metrics.bus_connected.set(bus.is_connected().into());
        for (partition, point) in applier.partitions.iter().zip(&checkpoints) {
            applier.metrics.reached(partition, point.position);
        }
        identity.compare(&checkpoints).await?;
        let due = self.due(head);
        self.readiness.looked(&checkpoints, due);
        let (mut near, mut far) = (Vec::new(), Vec::new());
        for partition in self.pages.workers.free() {
            let checkpoint = checkpoints[usize::from(partition)];
            let distance = self.pages.context.store.events_between(checkpoint.position, head);
            if checkpoint.position < due || distance > FAR {
                let list = if distance > VERY_FAR { &mut far } else { &mut near };
                list.push(Behind { partition, checkpoint, handed: None, stuck: false });
            }
        }
        self.far.send_replace(far);
        if self.pages.read(near).await? {
            self.more.notify_one();
        }
        Ok(())
    }

    /// The position that must be projected by now: the end of the log a heartbeat ago, or at the previous read when
    /// the bus is unavailable or silent.
    fn due(&mut self, head: u64) -> u64 {
        let WorkerContext { bus, tuning, delivered, .. } = &self.pages.context;
        let delivered = delivered.load(Ordering::Relaxed);
        let is_silent = std::mem::replace(&mut self.delivered, delivered) == delivered;
        let patience =
            if is_silent || !bus.is_connected() { tuning.heartbeat / LOOKS } else { tuning.heartbeat };
        let now = Instant::now();
        let due = self
            .heads
            .iter()
            .rev()
            .find(|(at, _)| now.duration_since(*at) >= patience)
            .map_or(0, |(_, head)| *head);
        self.heads.push_back((now, head));
        while self.heads.len() > 1 && now.duration_since(self.heads[1].0) >= tuning.heartbeat {
            self.heads.pop_front();
        }
        due.min(head)
    }
}

impl PageReader {
    /// Reads for partitions that are far behind, while there are any.
    async fn catch_up(self, mut far: watch::Receiver<Vec<Behind>>, more: Arc<Notify>) {
        while far.changed().await.is_ok() {
            let mut behind = far.borrow_and_update().clone();
            let free = self.workers.free();
            behind.retain(|behind| free.contains(&behind.partition));
            match self.read(behind).await {
                Ok(true) => more.notify_one(),
                Ok(false) => {}
                Err(error) => self.tell(&error),
            }
        }
    }

    fn tell(&self, error: &ProjectError) {
        // This was logged already.
        if matches!(error, ProjectError::OtherLog) {
            return;
        }
        self.context.applier.metrics.failures.inc();
        tracing::warn!(error = with_causes(error), "cannot compare the projection with the log");
    }

    /// Reads up to [`PAGES`] pages, from the furthest checkpoint on, and passes the events to their partitions. Returns
    /// `true` when there is more to read.
    async fn read(&self, mut behind: Vec<Behind>) -> Result<bool, ProjectError> {
        let WorkerContext { applier, store, identity, tuning, .. } = &self.context;
        let Some(start) = behind.iter().map(|behind| behind.checkpoint.position).min() else {
            return Ok(false);
        };
        let points: Vec<LogPoint> = behind.iter().map(|behind| behind.checkpoint).collect();
        let (mut after, mut more) = (start, false);
        let mut end = None;
        for _ in 0..PAGES {
            let page = store.log_page(after, tuning.page).await?;
            more = page.more;
            let events = decode(&**store, page.entries).await?;
            let Some(to) = events.last().map(Decoded::point) else {
                break;
            };
            let mut of_partition: HashMap<u16, Vec<Decoded>> = HashMap::new();
            for event in events {
                let partition = applier.partitions.of(event.record.metadata.subject);
                of_partition.entry(partition).or_default().push(event);
            }
            join_all(behind.iter_mut().filter_map(|behind| {
                let events = of_partition.remove(&behind.partition)?;
                Some(self.hand(behind, events, to))
            }))
            .await;
            (after, end) = (to.position, Some(to));
            if !more {
                break;
            }
        }
        if let Some(to) = end {
            let idle: Vec<(u16, u64)> = behind
                .iter()
                .filter(|behind| behind.handed.is_none() && !behind.stuck)
                .map(|behind| (behind.partition, behind.checkpoint.position))
                .collect();
            identity.confirm(&points, to).await?;
            self.bring(&idle, to).await?;
        }
        Ok(more)
    }

    async fn hand(&self, behind: &mut Behind, mut events: Vec<Decoded>, to: LogPoint) {
        let from = behind.handed.unwrap_or(behind.checkpoint).position;
        events.retain(|event| event.record.position > from);
        if events.is_empty() || behind.stuck {
            return;
        }
        let slice = LogSegment { from, to, events };
        if self.workers.hand(behind.partition, slice, TIMEOUT).await {
            behind.handed = Some(to);
        } else {
            behind.stuck = true;
        }
    }

    /// Moves the checkpoints of partitions without events up to `to`, all at once.
    async fn bring(&self, idle: &[(u16, u64)], to: LogPoint) -> Result<(), ProjectError> {
        let applier = &self.context.applier;
        let mut idle = idle.to_vec();
        idle.retain(|(_, position)| *position < to.position);
        for partition in checkpoint::bring(&applier.read_models, applier.partitions, &idle, to).await? {
            self.workers.moved(partition, to);
            applier.metrics.reached(partition, to.position);
        }
        Ok(())
    }

    /// Moves idle partitions to the end of the log, when the process ends.
    async fn bring_idle_to_the_end(&self) -> Result<(), ProjectError> {
        let WorkerContext { applier, store, identity, tuning, .. } = &self.context;
        let checkpoints = checkpoint::load_all(&applier.read_models, applier.partitions).await?;
        let head = store.head().await?;
        let mut idle = self.workers.all();
        let at = |partition: &u16| checkpoints[usize::from(*partition)];
        idle.retain(|partition| store.events_between(at(partition).position, head) <= FAR);
        let Some(start) = idle.iter().map(|partition| at(partition).position).min() else {
            return Ok(());
        };
        let points: Vec<LogPoint> = idle.iter().map(at).collect();
        let (mut after, mut end) = (start, None);
        loop {
            let page = store.log_page(after, tuning.page).await?;
            let more = page.more;
            let events = decode(&**store, page.entries).await?;
            for event in &events {
                let partition = applier.partitions.of(event.record.metadata.subject);
                if event.record.position > checkpoints[usize::from(partition)].position {
                    idle.remove(&partition);
                }
            }
            if let Some(last) = events.last() {
                (after, end) = (last.record.position, Some(last.point()));
            }
            if !more {
                break;
            }
        }
        match end {
            Some(to) => {
                identity.confirm(&points, to).await?;
                let idle: Vec<(u16, u64)> =
                    idle.iter().map(|partition| (*partition, at(partition).position)).collect();
                self.bring(&idle, to).await
            }
            None => Ok(()),
        }
    }
}

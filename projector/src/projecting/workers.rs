//! The partitions that this process projects, each with a worker of its own.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use events::LogPoint;
use parking_lot::Mutex;
use runtime::Background;
use tokio::{sync::mpsc, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::projecting::{
    log_segment::{LogSegment, Pending},
    partition_consumer::PartitionConsumer,
    worker_context::WorkerContext,
};

/// The segments that wait for one partition, besides the current one.
const WAITING: usize = 1;

#[derive(Clone)]
pub(crate) struct Workers {
    context: WorkerContext,
    running: Arc<Mutex<BTreeMap<u16, Worker>>>,
    background: Background,
}

struct Worker {
    slices: mpsc::Sender<LogSegment>,
    pending: Arc<Pending>,
    stop: CancellationToken,
}

impl Workers {
    pub(crate) fn new(context: WorkerContext, background: Background) -> Self {
        Self { context, running: Arc::default(), background }
    }

    /// Sets the partitions that have workers. One that is stopped finishes its current batch.
    pub(crate) fn run(&self, partitions: &BTreeSet<u16>) {
        let mut running = self.running.lock();
        running.retain(|partition, worker| {
            let stays = partitions.contains(partition);
            if !stays {
                worker.stop.cancel();
            }
            stays
        });
        for partition in partitions {
            running.entry(*partition).or_insert_with(|| self.start(*partition));
        }
    }

    fn start(&self, partition: u16) -> Worker {
        let (slices, received) = mpsc::channel(WAITING);
        let (pending, stop) = (Arc::<Pending>::default(), self.background.stop().child_token());
        let consumer =
            PartitionConsumer::new(self.context.clone(), partition, Arc::clone(&pending), stop.clone());
        self.background.spawn("partition", consumer.run(received));
        Worker { slices, pending, stop }
    }

    /// The partitions whose workers have no segment.
    pub(crate) fn free(&self) -> Vec<u16> {
        self.running
            .lock()
            .iter()
            .filter(|(_, worker)| worker.pending.is_empty())
            .map(|(partition, _)| *partition)
            .collect()
    }

    pub(crate) fn all(&self) -> BTreeSet<u16> {
        self.running.lock().keys().copied().collect()
    }

    /// Passes a segment to the worker of a partition. Returns `false` when the worker does not accept it in time.
    pub(crate) async fn hand(&self, partition: u16, slice: LogSegment, limit: Duration) -> bool {
        let Some((slices, pending)) = self
            .running
            .lock()
            .get(&partition)
            .map(|worker| (worker.slices.clone(), Arc::clone(&worker.pending)))
        else {
            return false;
        };
        pending.add();
        let taken = matches!(timeout(limit, slices.send(slice)).await, Ok(Ok(())));
        if !taken {
            pending.done();
        }
        taken
    }

    /// Tells the worker of a partition that its checkpoint was moved.
    pub(crate) fn moved(&self, partition: u16, to: LogPoint) {
        if let Some(worker) = self.running.lock().get(&partition) {
            worker.pending.move_to(to);
        }
    }
}

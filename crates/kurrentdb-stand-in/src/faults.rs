//! Faults of the stand-in that tests switch on, and counters.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

#[derive(Default)]
pub(crate) struct Faults {
    pub(crate) lost_answers: AtomicUsize,
    pub(crate) not_ready: AtomicUsize,
    pub(crate) too_large: AtomicUsize,
    pub(crate) failed_reads: AtomicUsize,
    /// Nodes without users.
    pub(crate) empty: Mutex<HashSet<usize>>,
    pub(crate) denied_appends: AtomicBool,
    pub(crate) denied_reads: AtomicBool,
    /// Changes when the existing subscriptions have to fail.
    pub(crate) subscriptions: watch::Sender<u64>,
    examined: AtomicU64,
    sent: AtomicU64,
    log_reads: AtomicU64,
    pub(crate) open: Arc<AtomicUsize>,
}

impl Faults {
    pub(crate) fn loses_answer(&self) -> bool {
        take(&self.lost_answers)
    }

    pub(crate) fn is_not_ready(&self) -> bool {
        take(&self.not_ready)
    }

    pub(crate) fn is_too_large(&self) -> bool {
        take(&self.too_large)
    }

    pub(crate) fn fails_read(&self) -> bool {
        take(&self.failed_reads)
    }

    pub(crate) fn is_empty(&self, node: usize) -> bool {
        self.empty.lock().contains(&node)
    }

    pub(crate) fn denies_appends(&self) -> bool {
        self.denied_appends.load(Ordering::SeqCst)
    }

    pub(crate) fn denies_reads(&self) -> bool {
        self.denied_reads.load(Ordering::SeqCst)
    }

    pub(crate) fn examined(&self, events: usize) {
        self.examined.fetch_add(events as u64, Ordering::SeqCst);
    }

    pub(crate) fn sent(&self) {
        self.sent.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn reads_log(&self) {
        self.log_reads.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn log_reads(&self) -> u64 {
        self.log_reads.load(Ordering::SeqCst)
    }

    pub(crate) fn events_sent(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }

    pub(crate) fn events_examined(&self) -> u64 {
        self.examined.load(Ordering::SeqCst)
    }
}

/// Counts down to zero; returns whether there was something left.
fn take(left: &AtomicUsize) -> bool {
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
        .is_ok()
}

/// One call that is being served. It ends when the answer is complete or the client resets the stream.
pub(crate) struct OpenCall(Arc<AtomicUsize>);

impl OpenCall {
    pub(crate) fn new(open: &Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(open))
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Holds a node's only thread, so that the node stands still as a stopped process does: the kernel accepts connections,
/// and nobody answers.
#[derive(Default)]
pub(crate) struct FrozenThread {
    frozen: Mutex<bool>,
    thawed: Condvar,
}

impl FrozenThread {
    pub(crate) fn set(&self, frozen: bool) {
        *self.frozen.lock() = frozen;
        self.thawed.notify_all();
    }

    /// Blocks the thread for as long as it is frozen.
    pub(crate) fn hold(&self) {
        self.thawed.wait_while(&mut self.frozen.lock(), |frozen| *frozen);
    }
}

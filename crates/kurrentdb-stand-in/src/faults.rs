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
    pub(crate) lost_answers: Countdown,
    pub(crate) not_ready: Countdown,
    pub(crate) too_large: Countdown,
    pub(crate) failed_reads: Countdown,
    /// Nodes without users.
    pub(crate) empty: Mutex<HashSet<usize>>,
    pub(crate) denied_appends: AtomicBool,
    pub(crate) denied_reads: AtomicBool,
    /// Changes when the existing subscriptions have to fail.
    pub(crate) subscriptions: watch::Sender<u64>,
    pub(crate) events_examined: Counter,
    pub(crate) events_sent: Counter,
    pub(crate) log_reads: Counter,
    pub(crate) open: Arc<AtomicUsize>,
}

/// How many of the next calls have a fault.
#[derive(Default)]
pub(crate) struct Countdown(AtomicUsize);

impl Countdown {
    pub(crate) fn set(&self, count: usize) {
        self.0.store(count, Ordering::SeqCst);
    }

    /// Whether this call has the fault.
    pub(crate) fn take(&self) -> bool {
        let less = |left: usize| left.checked_sub(1);
        self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok()
    }
}

#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, more: usize) {
        self.0.fetch_add(more as u64, Ordering::SeqCst);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
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

//! The counts of failures and repairs of a bus.

use std::sync::atomic::{AtomicU64, Ordering};

/// The counters of one bus, at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BusCounts {
    /// Messages that the in-process bus dropped from a full queue. RabbitMQ does not report this.
    pub dropped: u64,
    /// Publications that reached no queue and came back.
    pub returned: u64,
    /// Missing objects on the broker that were declared or bound again.
    pub restored: u64,
    /// Messages that the bus will never accept.
    pub refused: u64,
    /// Requests that were not answered because their caller had stopped waiting.
    pub expired: u64,
}

/// The same counts while the bus runs.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) dropped: AtomicU64,
    pub(crate) returned: AtomicU64,
    pub(crate) restored: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) expired: AtomicU64,
}

impl Counters {
    pub(crate) fn read(&self) -> BusCounts {
        BusCounts {
            dropped: self.dropped.load(Ordering::Relaxed),
            returned: self.returned.load(Ordering::Relaxed),
            restored: self.restored.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            expired: self.expired.load(Ordering::Relaxed),
        }
    }
}

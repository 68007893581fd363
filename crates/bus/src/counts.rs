//! What a bus counts of what has gone wrong and been mended.

use std::sync::atomic::{AtomicU64, Ordering};

/// The counters of one bus, at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BusCounts {
    /// Messages that the bus has dropped from a full queue of its own. A broker does not say.
    pub dropped: u64,
    /// Publications that reached no queue and came back.
    pub returned: u64,
    /// Times that something missing on the broker was declared or bound again.
    pub restored: u64,
    /// Messages that were refused for themselves.
    pub refused: u64,
    /// Requests that were not worked on because nobody waited for the reply any more, or given up for it.
    pub expired: u64,
}

/// The same while they grow.
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

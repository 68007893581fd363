//! Sizes of batches, intervals, and pauses after failures.

use std::time::Duration;

use runtime::Backoff;

/// The sizes and intervals of the projector. The defaults suit everything but tests.
#[derive(Debug, Clone, Copy)]
pub struct Tuning {
    /// The most messages that are taken from the bus at once.
    pub batch: usize,
    /// The most events that are read from the store at once.
    pub page: usize,
    /// How long a partition without messages waits before it is compared with the log.
    pub heartbeat: Duration,
    /// How often a few rows are compared with the log.
    pub sample: Duration,
    /// The first pause after a failure; it doubles up to [`Self::longest_pause`].
    pub shortest_pause: Duration,
    /// The longest pause after a failure.
    pub longest_pause: Duration,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            batch: 500,
            page: 5_000,
            heartbeat: Duration::from_secs(1),
            sample: Duration::from_secs(60),
            shortest_pause: Duration::from_millis(50),
            longest_pause: Duration::from_secs(5),
        }
    }
}

impl Tuning {
    pub(crate) const fn backoff(&self) -> Backoff {
        Backoff::new(self.shortest_pause, self.longest_pause)
    }
}

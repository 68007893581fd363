//! Counts the running requests of a replica, from sending until the answer has been passed on completely.

use prometheus::IntGauge;

/// The running requests of one replica. They are counted where its metric is.
pub(super) struct InFlight(IntGauge);

impl InFlight {
    pub(super) fn new(gauge: IntGauge) -> Self {
        Self(gauge)
    }

    pub(super) fn count(&self) -> i64 {
        self.0.get()
    }

    /// Counts one more request, until the result is dropped.
    pub(super) fn begin(&self) -> Counted {
        self.0.inc();
        Counted(self.0.clone())
    }
}

/// A counted request.
pub(super) struct Counted(IntGauge);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

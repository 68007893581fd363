//! Counts the running requests of a replica, from sending until the answer has been passed on completely.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use prometheus::IntGauge;

/// The running requests of one replica.
#[derive(Clone)]
pub(super) struct InFlight {
    count: Arc<AtomicUsize>,
    gauge: IntGauge,
}

impl InFlight {
    pub(super) fn new(gauge: IntGauge) -> Self {
        Self {
            count: Arc::default(),
            gauge,
        }
    }

    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Counts one more request, until the result is dropped.
    pub(super) fn begin(&self) -> Counted {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.gauge.inc();
        Counted(self.clone())
    }
}

/// A counted request.
pub(super) struct Counted(InFlight);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::Relaxed);
        self.0.gauge.dec();
    }
}

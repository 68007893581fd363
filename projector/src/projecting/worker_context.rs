//! What the workers of all partitions of one process use, and what they agree on.

use std::sync::{Arc, atomic::AtomicU64};

use bus::Bus;
use event_store::EventStore;

use crate::{
    projecting::{apply::Applier, log_comparison::LogComparison},
    tuning::Tuning,
};

/// A partition that is further behind is brought up from the store at once, whatever is on its way on the bus.
pub(crate) const FAR: u64 = 2_000;

/// What every partition of a process works with.
#[derive(Clone)]
pub(crate) struct WorkerContext {
    pub(crate) applier: Applier,
    pub(crate) store: Arc<dyn EventStore>,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) identity: LogComparison,
    pub(crate) tuning: Tuning,
    /// Messages that the bus has delivered to this process.
    pub(crate) delivered: Arc<AtomicU64>,
}

//! The shared state of the workers of one process.

use std::sync::{Arc, atomic::AtomicU64};

use bus::Bus;
use event_store::EventStore;

use crate::{
    projecting::{apply::Applier, log_comparison::LogComparison},
    tuning::Tuning,
};

/// A partition that is more events behind than this is read from the store, whatever the bus delivers.
pub(crate) const FAR: u64 = 2_000;

#[derive(Clone)]
pub(crate) struct WorkerContext {
    pub(crate) applier: Applier,
    pub(crate) store: Arc<dyn EventStore>,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) identity: LogComparison,
    pub(crate) tuning: Tuning,
    /// The number of messages that the bus has delivered to this process.
    pub(crate) delivered: Arc<AtomicU64>,
}

//! A flag that memory is short, which a watcher sets for the server.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// Set when the process runs short of memory; see `runtime::memory`.
#[derive(Debug, Clone, Default)]
pub struct Pressure(Arc<AtomicBool>);

impl Pressure {
    /// Whether memory is short.
    pub fn set(&self, short: bool) {
        self.0.store(short, Ordering::Relaxed);
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

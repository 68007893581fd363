//! The bytes in memory that belong to one caller.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// The bytes in memory that belong to one caller. Clones share the count.
#[derive(Debug, Clone, Default)]
pub struct CallerBytes(Arc<AtomicUsize>);

impl CallerBytes {
    /// Adds `bytes`, and returns the total.
    pub(crate) fn add(&self, bytes: usize) -> usize {
        self.0.fetch_add(bytes, Ordering::Relaxed) + bytes
    }

    pub(crate) fn total(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn remove(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }
}

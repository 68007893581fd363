//! The bytes that are kept in a process because of one caller.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// The bytes that are kept because of one caller. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct CallerBytes(Arc<AtomicUsize>);

impl CallerBytes {
    /// So many more; how many there are now is told.
    pub(crate) fn add(&self, bytes: usize) -> usize {
        self.0.fetch_add(bytes, Ordering::Relaxed) + bytes
    }

    pub(crate) fn remove(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }
}

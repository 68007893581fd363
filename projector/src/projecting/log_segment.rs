//! A run of events that the log reader hands to the worker of a partition, and how much of it is still to be projected.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use events::LogPoint;

use crate::projecting::decode::Decoded;

/// What the log has for one partition above one position and up to another.
pub(crate) struct LogSegment {
    pub(crate) from: u64,
    pub(crate) to: LogPoint,
    pub(crate) events: Vec<Decoded>,
}

/// What a worker and the log reader know of each other.
#[derive(Default)]
pub(crate) struct Pending {
    /// Slices on their way to the worker or in its hands.
    slices: AtomicUsize,
    /// Where the log reader has moved the checkpoint to.
    moved: Mutex<Option<LogPoint>>,
}

impl Pending {
    /// A slice is on its way.
    pub(crate) fn add(&self) {
        self.slices.fetch_add(1, Ordering::AcqRel);
    }

    /// The worker is done with a slice.
    pub(crate) fn done(&self) {
        self.slices.fetch_sub(1, Ordering::AcqRel);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.slices.load(Ordering::Acquire) == 0
    }

    /// Where the log reader has moved the checkpoint to since the last time this was asked.
    pub(crate) fn moved(&self) -> Option<LogPoint> {
        self.moved.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The log reader has moved the checkpoint.
    pub(crate) fn move_to(&self, to: LogPoint) {
        *self.moved.lock().unwrap_or_else(PoisonError::into_inner) = Some(to);
    }
}

//! A range of events that the log reader passes to the worker of a partition, and the progress of such ranges.

use std::sync::atomic::{AtomicUsize, Ordering};

use events::LogPoint;
use parking_lot::Mutex;

use crate::projecting::decode::Decoded;

/// The events of one partition in a range of positions.
pub(crate) struct LogSegment {
    pub(crate) from: u64,
    pub(crate) to: LogPoint,
    pub(crate) events: Vec<Decoded>,
}

impl LogSegment {
    /// Leaves out what is projected already. It begins later then, so that it does not fit any more when the checkpoint
    /// falls.
    pub(crate) fn begin_after(&mut self, position: u64) {
        self.events.retain(|event| event.record.position > position);
        self.from = position;
    }
}

/// The state that a worker and the log reader share.
#[derive(Default)]
pub(crate) struct Pending {
    /// The number of segments that the worker has or will get.
    slices: AtomicUsize,
    /// The point to which the log reader has moved the checkpoint.
    moved: Mutex<Option<LogPoint>>,
}

impl Pending {
    /// Records that a segment was sent.
    pub(crate) fn add(&self) {
        self.slices.fetch_add(1, Ordering::AcqRel);
    }

    /// Records that the worker has finished a segment.
    pub(crate) fn done(&self) {
        self.slices.fetch_sub(1, Ordering::AcqRel);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.slices.load(Ordering::Acquire) == 0
    }

    /// The point to which the log reader has moved the checkpoint since the last call.
    pub(crate) fn moved(&self) -> Option<LogPoint> {
        self.moved.lock().take()
    }

    /// Records that the log reader has moved the checkpoint.
    pub(crate) fn move_to(&self, to: LogPoint) {
        *self.moved.lock() = Some(to);
    }
}

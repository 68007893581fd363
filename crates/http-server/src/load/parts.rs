//! The parts of an answer whose length was not announced, such as a stream of events. Each part counts from when it was
//! made until it was sent.

use std::sync::{Arc, Weak, atomic::Ordering};

use super::{AtWork, SMALL_PARTS};
use crate::{activity::Activity, connection_metrics::Reason};

/// About as many bytes of parts wait in the queue of hyper at most: it takes no more pieces once it has twice the bytes
/// of the largest head ([`HeadLimits`](crate::HeadLimits)).
const QUEUE: usize = 192 * 1024;

impl AtWork {
    /// Adds the bytes of the next part of an answer. Returns whether there is room, for which other answers may be cut
    /// off; a part that has none is not counted, and its answer has to end. With the `activity` of its connection, the
    /// answer may be cut off itself from now on. Those without, to commands, are given in any case.
    pub(crate) fn part(self: &Arc<Self>, bytes: usize, activity: Option<&Activity>) -> bool {
        let is_small = self.bytes.load(Ordering::Relaxed) + bytes <= SMALL_PARTS;
        let has_room = self.keep(bytes, is_small, true);
        let Some(activity) = activity else {
            return true;
        };
        if has_room && !is_small {
            self.put_among_large(activity);
        }
        if !has_room {
            self.release(bytes);
            self.state.metrics.refused(Reason::Memory, 1, self.network());
        }
        has_room
    }

    /// The last piece of a part of so many `bytes` was passed on, and the memory of the part was released. What can
    /// still be in the queue of its connection counts until that is empty. Only the task of the connection calls this.
    pub(crate) fn part_passed_on(self: &Arc<Self>, bytes: usize, activity: &Activity) {
        let before = self.unsent_parts.load(Ordering::Relaxed);
        let in_queue = (before + bytes).min(QUEUE);
        self.unsent_parts.store(in_queue, Ordering::Relaxed);
        self.release(before + bytes - in_queue);
        if before == 0 {
            activity.keep_parts_until_sent(Box::new(UnsentParts(Arc::downgrade(self))));
        }
    }

    /// Releases some of its bytes; fewer, if it was cut off before.
    fn release(&self, bytes: usize) {
        let less = |before: usize| Some(before.saturating_sub(bytes));
        let (Ok(before) | Err(before)) = self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        self.released(bytes.min(before));
    }
}

/// Releases the parts that were passed on, when it is dropped. The request itself may end before.
struct UnsentParts(Weak<AtWork>);

impl Drop for UnsentParts {
    fn drop(&mut self) {
        if let Some(at_work) = self.0.upgrade() {
            at_work.release(at_work.unsent_parts.swap(0, Ordering::Relaxed));
        }
    }
}

//! Finds missing positions in a log whose positions have no gaps.

use std::ops::RangeInclusive;

use crate::EventStore;

/// Finds gaps in the records of a log, which must be given in order.
#[derive(Debug, Clone)]
pub struct MissingPositions {
    last: Option<u64>,
}

impl MissingPositions {
    /// Begins after the position `after` of `store`. Finds nothing in a store whose positions are not dense.
    pub fn after(store: &dyn EventStore, after: u64) -> Self {
        Self { last: store.positions_are_dense().then_some(after) }
    }

    /// The missing positions between the previous event and the one at `position`.
    pub fn before(&mut self, position: u64) -> Option<RangeInclusive<u64>> {
        let last = self.last.as_mut()?;
        let first = std::mem::replace(last, position) + 1;
        (first < position).then(|| first..=position - 1)
    }
}

/// Describes a gap in a sentence.
pub fn describe_gap(gap: &RangeInclusive<u64>) -> String {
    let (first, last) = (gap.start(), gap.end());
    if first == last {
        format!("the log has no event at position {first}: it is damaged")
    } else {
        format!("the log has no events at positions {first} to {last}: it is damaged")
    }
}

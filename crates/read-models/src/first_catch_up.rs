//! The first catch-up of read models that were empty, as after a restore or when they were deleted. Until it is done
//! they lack most of what is in the log, so that they must not be shown as if they were complete.

use std::sync::atomic::{AtomicU64, Ordering};

use events::LogPoint;

/// The end of the log is not known yet, and a partition at 0 counts as behind.
const UNKNOWN: u64 = u64::MAX;
/// The partition was emptied, and the end of the log is not known yet.
const EMPTIED: u64 = u64::MAX - 1;

/// How far each partition has to come.
pub(crate) struct FirstCatchUp(Vec<AtomicU64>);

impl FirstCatchUp {
    pub(crate) fn new(partitions: usize) -> Self {
        Self((0..partitions).map(|_| AtomicU64::new(UNKNOWN)).collect())
    }

    /// The checkpoint of `partition` has fallen to 0.
    pub(crate) fn emptied(&self, partition: usize) {
        if let Some(goal) = self.0.get(partition) {
            goal.store(EMPTIED, Ordering::Relaxed);
        }
    }

    /// Whether [`Self::log_ends_at`] must be called.
    pub(crate) fn asks_for_the_end(&self) -> bool {
        self.0.iter().any(|goal| goal.load(Ordering::Relaxed) >= EMPTIED)
    }

    /// The log ends at `head`, and the partitions were at `points` before. Those that are empty have to come so far.
    pub(crate) fn log_ends_at(&self, head: u64, points: &[LogPoint]) {
        for (goal, point) in self.0.iter().zip(points) {
            let to = match goal.load(Ordering::Relaxed) {
                EMPTIED => head,
                UNKNOWN if point.position == 0 => head,
                UNKNOWN => 0,
                _ => continue,
            };
            goal.store(to, Ordering::Relaxed);
        }
    }

    /// How much of the log `partition` has, in percent, when it is at `position`; `None` after the first catch-up.
    pub(crate) fn percent(&self, partition: usize, position: u64) -> Option<u64> {
        let goal = self.0.get(partition)?.load(Ordering::Relaxed);
        if goal == UNKNOWN {
            return (position == 0).then_some(0);
        }
        let percent = u128::from(position) * 100 / u128::from(goal.max(1));
        (position < goal).then(|| u64::try_from(percent).unwrap_or(100))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(positions: [u64; 2]) -> [LogPoint; 2] {
        positions.map(|position| LogPoint { position, ..LogPoint::START })
    }

    #[test]
    fn empty_read_models_have_to_reach_the_end_that_the_log_had() {
        let first = FirstCatchUp::new(2);
        assert_eq!(first.percent(0, 0), Some(0), "nobody knows the log yet");
        first.log_ends_at(200, &points([0, 150]));
        assert!(!first.asks_for_the_end());
        assert_eq!([0, 50, 199].map(|at| first.percent(0, at)), [Some(0), Some(25), Some(99)]);
        assert_eq!(first.percent(0, 200), None);
        assert_eq!(first.percent(1, 150), None, "a projection that is only late is shown");
        first.log_ends_at(300, &points([200, 150]));
        assert_eq!(first.percent(0, 200), None);
        first.emptied(1);
        assert_eq!(first.percent(1, 7), Some(0));
        first.log_ends_at(300, &points([200, 7]));
        assert_eq!([7, 300].map(|at| first.percent(1, at)), [Some(2), None]);
    }

    #[test]
    fn nothing_is_behind_an_empty_log() {
        let first = FirstCatchUp::new(2);
        first.log_ends_at(0, &points([0, 0]));
        assert_eq!([first.percent(0, 0), first.percent(1, 0)], [None, None]);
    }
}

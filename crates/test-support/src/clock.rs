//! A clock that tests set.

use std::sync::atomic::{AtomicI64, Ordering};

use events::Timestamp;
use runtime::{Clock, SystemClock};

/// Runs with the machine's clock or stands still, and can be moved.
#[derive(Debug)]
pub struct TestClock {
    runs: bool,
    /// The time, if it stands still; otherwise the distance to the machine's clock.
    micros: AtomicI64,
}

impl TestClock {
    /// Runs with the machine's clock.
    pub const fn running() -> Self {
        Self { runs: true, micros: AtomicI64::new(0) }
    }

    /// Stands still at `now`.
    pub const fn standing_at(now: Timestamp) -> Self {
        Self { runs: false, micros: AtomicI64::new(now.as_micros()) }
    }

    /// Moves it forward, or back if `seconds` is negative.
    pub fn advance(&self, seconds: i64) {
        self.micros.fetch_add(seconds * 1_000_000, Ordering::SeqCst);
    }

    /// Makes one that stands still stand at `now`.
    pub fn set(&self, now: Timestamp) {
        assert!(!self.runs, "only a clock that stands still can be set");
        self.micros.store(now.as_micros(), Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        let base = if self.runs { SystemClock.now().as_micros() } else { 0 };
        Timestamp::from_micros(base + self.micros.load(Ordering::SeqCst))
    }
}

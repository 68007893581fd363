//! The generic cell rate algorithm as arithmetic, without a clock and without a store.
//!
//! The state of a key is one instant: the time at which it will have its whole burst again. For a key that has it
//! now, that is in the past.

use std::time::Duration;

/// A burst that may happen at once, and an interval after which one more may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Quota {
    interval: Duration,
    burst: u32,
}

/// The remaining quota of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// How many may happen now.
    pub remaining: u32,
    /// The time until the whole burst is available again.
    pub full_after: Duration,
}

impl Quota {
    /// Allows `count` in every `per`, and up to `burst` of them at once. Each is at least one, and a burst of any
    /// size is available again within a hundred years.
    pub fn new(count: u32, per: Duration, burst: u32) -> Self {
        const MAX_PERIOD: Duration = Duration::from_secs(100 * 365 * 86_400);
        let burst = burst.max(1);
        let interval = (per / count.max(1)).clamp(Duration::from_nanos(1), MAX_PERIOD / burst);
        Self { interval, burst }
    }

    /// The size of the burst.
    pub fn burst(self) -> u32 {
        self.burst
    }

    /// The time after which a used-up burst is available again.
    pub fn window(self) -> Duration {
        self.interval * self.burst
    }

    /// The new state after `count` more happen at `now`, where the old state was `due`.
    pub fn after(self, due: Duration, now: Duration, count: u32) -> Duration {
        due.max(now).saturating_add(self.interval.saturating_mul(count))
    }

    /// The remaining quota at `now`.
    pub fn standing(self, due: Duration, now: Duration) -> Standing {
        let full_after = due.saturating_sub(now);
        let left = self.window().saturating_sub(full_after);
        let remaining = left.as_nanos() / self.interval.as_nanos();
        Standing { remaining: u32::try_from(remaining).unwrap_or(u32::MAX), full_after }
    }

    /// How long to wait at `now` until one more may happen; zero when it may now.
    pub fn wait(self, due: Duration, now: Duration) -> Duration {
        self.after(due, now, 1).saturating_sub(now + self.window())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_burst_and_then_the_rate() {
        let quota = Quota::new(10, SECOND, 3);
        let (mut due, now) = (Duration::ZERO, SECOND * 1_000);
        for left in [2, 1, 0] {
            assert_eq!(quota.wait(due, now), Duration::ZERO);
            due = quota.after(due, now, 1);
            assert_eq!(quota.standing(due, now).remaining, left);
        }
        assert_eq!(quota.wait(due, now), SECOND / 10);
        assert_eq!(quota.wait(due, now + SECOND / 10), Duration::ZERO);
        assert_eq!(quota.standing(due, now).full_after, quota.window());
    }

    #[test]
    fn no_number_is_too_strange() {
        for (count, per, burst) in
            [(0, Duration::ZERO, 0), (u32::MAX, Duration::MAX, u32::MAX), (1, Duration::MAX, 7)]
        {
            let quota = Quota::new(count, per, burst);
            let due = quota.after(Duration::ZERO, SECOND, u32::MAX);
            let _ = (quota.wait(due, SECOND), quota.standing(due, SECOND), quota.window());
        }
    }

    proptest! {
        /// However requests are spaced, at most the burst and the earned number happen within any time.
        #[test]
        fn never_more_than_burst_and_rate(gaps in prop::collection::vec(0_u64..200, 1..300), count in 1_u32..50, burst in 1_u32..20) {
            let quota = Quota::new(count, SECOND, burst);
            let (mut due, mut now, mut happened) = (Duration::ZERO, SECOND, 0_u32);
            for gap in gaps {
                now += Duration::from_millis(gap);
                if quota.wait(due, now).is_zero() {
                    due = quota.after(due, now, 1);
                    happened += 1;
                }
                let earned = (now - SECOND).as_nanos() * u128::from(count) / SECOND.as_nanos();
                prop_assert!(u128::from(happened) <= u128::from(burst) + earned + 1);
            }
        }
    }
}

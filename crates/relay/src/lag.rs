//! Measures for how long the relay has been behind the log: since it saw the oldest end of the log that it has not
//! reached yet. A relay that keeps up with a busy log is always some events behind, but never for long.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// The most ends of the log that are kept. Further ones are not needed, since only the oldest counts.
const MAX_SAMPLES: usize = 3_600;

/// The ends of the log that the relay has seen but not reached, each with the time when it saw it.
#[derive(Debug, Default)]
pub(crate) struct Lag(VecDeque<(Instant, u64)>);

impl Lag {
    /// Records that the log ends at `head` and is published up to `published`, and returns for how long the relay has
    /// been behind.
    pub(crate) fn observe(&mut self, now: Instant, head: u64, published: u64) -> Duration {
        let is_new = self.0.back().is_none_or(|(_, known)| *known != head);
        if is_new && self.0.len() < MAX_SAMPLES {
            self.0.push_back((now, head));
        }
        while self.0.front().is_some_and(|(_, seen)| *seen <= published) {
            self.0.pop_front();
        }
        self.0.front().map_or(Duration::ZERO, |(since, _)| now.saturating_duration_since(*since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_that_moves_with_the_log_is_not_behind_for_long() {
        let (mut lag, start) = (Lag::default(), Instant::now());
        let mut observe = |second: u64, head, published| {
            lag.observe(start + Duration::from_secs(second), head, published).as_secs()
        };
        assert_eq!(observe(0, 10, 10), 0);
        // Always some events behind, but never for longer than between two observations.
        for second in 1..100 {
            assert!(observe(second, 10 + second * 50, 10 + second * 50 - 20) <= 1);
        }
        // It stops.
        assert_eq!(observe(100, 9_000, 8_000), 0);
        assert_eq!(observe(110, 10_000, 8_000), 10);
        assert_eq!(observe(130, 11_000, 8_000), 30);
        // It continues, and the oldest end that is left is younger.
        assert_eq!(observe(131, 11_000, 9_500), 21);
        assert_eq!(observe(132, 11_000, 11_000), 0);
    }

    #[test]
    fn the_number_of_kept_ends_is_bounded() {
        let (mut lag, start) = (Lag::default(), Instant::now());
        for second in 0..2 * MAX_SAMPLES as u64 {
            lag.observe(start + Duration::from_secs(second), second + 1, 0);
        }
        assert_eq!(lag.0.len(), MAX_SAMPLES);
        let end = start + Duration::from_secs(10_000);
        assert_eq!(lag.observe(end, 9_999, 0), Duration::from_secs(10_000));
    }
}

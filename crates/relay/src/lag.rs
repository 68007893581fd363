//! How long the relay has been behind the log: the age of the oldest end of the log that it has not reached yet. A relay that
//! keeps up with a busy log is always some events behind, and never long.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// Ends of the log that are kept, at one a look. With more of them the first counts all the same.
const MOST: usize = 3_600;

/// The ends of the log that were seen and not reached.
#[derive(Debug, Default)]
pub(crate) struct Lag(VecDeque<(Instant, u64)>);

impl Lag {
    /// The log ends at `head` now, and is published up to `published`. For how long that has been behind.
    pub(crate) fn look(&mut self, now: Instant, head: u64, published: u64) -> Duration {
        let is_news = self.0.back().is_none_or(|(_, known)| *known != head);
        if is_news && self.0.len() < MOST {
            self.0.push_back((now, head));
        }
        while self.0.front().is_some_and(|(_, seen)| *seen <= published) {
            self.0.pop_front();
        }
        self.0
            .front()
            .map_or(Duration::ZERO, |(since, _)| now.saturating_duration_since(*since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_that_moves_with_the_log_is_not_behind_for_long() {
        let (mut lag, start) = (Lag::default(), Instant::now());
        let mut look = |second: u64, head, published| {
            lag.look(start + Duration::from_secs(second), head, published)
                .as_secs()
        };
        assert_eq!(look(0, 10, 10), 0);
        // Always some events behind, never a look behind.
        for second in 1..100 {
            assert!(look(second, 10 + second * 50, 10 + second * 50 - 20) <= 1);
        }
        // It stands.
        assert_eq!(look(100, 9_000, 8_000), 0);
        assert_eq!(look(110, 10_000, 8_000), 10);
        assert_eq!(look(130, 11_000, 8_000), 30);
        // It goes on, and the oldest end that is left is younger.
        assert_eq!(look(131, 11_000, 9_500), 21);
        assert_eq!(look(132, 11_000, 11_000), 0);
    }

    #[test]
    fn what_is_kept_has_a_bound() {
        let (mut lag, start) = (Lag::default(), Instant::now());
        for second in 0..2 * MOST as u64 {
            lag.look(start + Duration::from_secs(second), second + 1, 0);
        }
        assert_eq!(lag.0.len(), MOST);
        let end = start + Duration::from_secs(10_000);
        assert_eq!(lag.look(end, 9_999, 0), Duration::from_secs(10_000));
    }
}

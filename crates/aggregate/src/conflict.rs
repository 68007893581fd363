//! Retries after another process appended first: the command is decided again after a pause, until a time limit. The
//! number of attempts has no bound, because after each conflict somebody has succeeded, and a slow process may meet
//! many.

use std::time::Duration;

use runtime::random_between;
use tokio::time::Instant;

/// How long a command is retried after conflicts.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The longest pause after the first conflict of a command. Each further conflict adds the same again.
const PAUSE: Duration = Duration::from_millis(2);
/// The longest pause after any conflict.
const MAX_PAUSE: Duration = Duration::from_millis(32);

/// Counts the conflicts of one command.
#[derive(Debug, Default)]
pub struct Conflicts {
    met: u32,
    until: Option<Instant>,
}

/// The time limit has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GivenUp {
    /// How many conflicts the command has met.
    pub conflicts: u32,
}

impl Conflicts {
    /// Counts one more conflict. Returns the time that is left.
    ///
    /// # Errors
    /// When the time limit has passed.
    pub fn meet(&mut self) -> Result<Duration, GivenUp> {
        self.met = self.met.saturating_add(1);
        let until = *self.until.get_or_insert_with(|| Instant::now() + TIMEOUT);
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(self.given_up());
        }
        Ok(left)
    }

    /// Waits a random time, longer after each conflict, so that the same commands do not meet again.
    pub async fn pause(&self) {
        let longest = PAUSE.saturating_mul(self.met).min(MAX_PAUSE);
        tokio::time::sleep(longest.mul_f64(random_between(0.0, 1.0))).await;
    }

    /// The error of a command that gives up.
    pub const fn given_up(&self) -> GivenUp {
        GivenUp { conflicts: self.met }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn whoever_only_has_no_luck_goes_on_until_it_takes_too_long() {
        let (mut conflicts, begun) = (Conflicts::default(), Instant::now());
        while conflicts.meet().is_ok() {
            conflicts.pause().await;
        }
        assert!((TIMEOUT..TIMEOUT + MAX_PAUSE).contains(&begun.elapsed()));
        let met = conflicts.given_up().conflicts;
        assert!(met > 200, "{met}");
    }
}

//! What is done after somebody else appended first: all of it again after a moment, until that has taken too long. A bound on the
//! number of attempts would be one on luck: each conflict lets somebody through, and whoever has met many may only have been slow.

use std::time::Duration;

use runtime::random_between;
use tokio::time::Instant;

/// How long a command is decided again because somebody else appended first.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The longest wait after the first conflict of a command. It grows by as much with each further one.
const PAUSE: Duration = Duration::from_millis(2);
/// The longest wait after any conflict.
const LONGEST_PAUSE: Duration = Duration::from_millis(32);

/// The conflicts that a command has met.
#[derive(Debug, Default)]
pub struct Conflicts {
    met: u32,
    until: Option<Instant>,
}

/// A command has met conflicts for too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GivenUp {
    /// How many conflicts the command has met.
    pub conflicts: u32,
}

impl Conflicts {
    /// Notes one more. Returns how long the command may go on.
    ///
    /// # Errors
    /// When that has been too long.
    pub fn meet(&mut self) -> Result<Duration, GivenUp> {
        self.met = self.met.saturating_add(1);
        let until = *self.until.get_or_insert_with(|| Instant::now() + TIMEOUT);
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(self.given_up());
        }
        Ok(left)
    }

    /// Waits a random moment, longer after each conflict, so that those who met do not meet again.
    pub async fn pause(&self) {
        let longest = PAUSE.saturating_mul(self.met).min(LONGEST_PAUSE);
        tokio::time::sleep(longest.mul_f64(random_between(0.0, 1.0))).await;
    }

    /// What a command that gives up says.
    #[must_use]
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
        assert!((TIMEOUT..TIMEOUT + LONGEST_PAUSE).contains(&begun.elapsed()));
        let met = conflicts.given_up().conflicts;
        assert!(met > 200, "{met}");
    }
}

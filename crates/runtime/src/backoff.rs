//! Pauses between attempts: they double, and are of random length, so that what comes back is not met by everyone at once.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::random::random_between;

/// The pauses of one series of attempts.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    /// The steps double from `first` to `longest`.
    #[must_use]
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            next: first,
        }
    }

    /// The next pause: between half and all of the current step.
    pub fn pause(&mut self) -> Duration {
        let step = self.next;
        self.next = step.saturating_mul(2).min(self.longest);
        jittered(step)
    }

    /// Waits for the next pause to pass.
    pub async fn wait(&mut self) {
        tokio::time::sleep(self.pause()).await;
    }

    /// As [`Self::wait`]; `false` as soon as it is time to stop.
    pub async fn wait_unless(&mut self, stop: &CancellationToken) -> bool {
        stop.run_until_cancelled(self.wait()).await.is_some()
    }

    /// The last attempt succeeded: the next series starts small again.
    pub const fn reset(&mut self) {
        self.next = self.first;
    }
}

/// Between half and all of `duration`.
#[must_use]
pub fn jittered(duration: Duration) -> Duration {
    duration.mul_f64(random_between(0.5, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_start_small_again_after_success() {
        let first = Duration::from_millis(100);
        let mut backoff = Backoff::new(first, Duration::from_secs(5));
        for step in [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000] {
            let pause = backoff.pause();
            assert!(
                pause >= Duration::from_millis(step / 2) && pause <= Duration::from_millis(step),
                "{pause:?}"
            );
        }
        backoff.reset();
        assert!(backoff.pause() <= first);
    }
}

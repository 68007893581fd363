//! Pauses between attempts: they double, with a random part, so that clients do not all return at the same moment.

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
    /// Creates a series of pauses that double from `first` to `longest`.
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, next: first }
    }

    /// The next pause: a random time between half of the current step and all of it.
    pub fn pause(&mut self) -> Duration {
        let step = self.next;
        self.next = step.saturating_mul(2).min(self.longest);
        jittered(step)
    }

    /// Waits for the next pause.
    pub async fn wait(&mut self) {
        tokio::time::sleep(self.pause()).await;
    }

    /// Like [`Self::wait`], but returns `false` as soon as `stop` is cancelled.
    pub async fn wait_unless(&mut self, stop: &CancellationToken) -> bool {
        stop.run_until_cancelled(self.wait()).await.is_some()
    }

    /// Starts again with the first pause, after an attempt succeeded.
    pub const fn reset(&mut self) {
        self.next = self.first;
    }
}

/// A random time between half of `duration` and all of it.
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

//! Pauses between attempts: they double from 100 ms to 5 s, with jitter, so that a restarted broker is not met by
//! everyone at once.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

/// The pauses of one series of attempts.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    attempts: u32,
}

impl Backoff {
    /// The next pause: between half and all of the current step.
    pub(super) fn pause(&mut self) -> Duration {
        let step = FIRST
            .saturating_mul(2_u32.saturating_pow(self.attempts.min(16)))
            .min(LONGEST);
        self.attempts = self.attempts.saturating_add(1);
        step.mul_f64(rand::random_range(0.5..=1.0))
    }

    /// It worked: the next series starts small again.
    pub(super) fn reset(&mut self) {
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_start_anew_after_success() {
        let mut backoff = Backoff::default();
        for step in [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000] {
            let pause = backoff.pause();
            assert!(
                pause >= Duration::from_millis(step / 2) && pause <= Duration::from_millis(step),
                "{pause:?}"
            );
        }
        backoff.reset();
        assert!(backoff.pause() <= FIRST);
    }
}

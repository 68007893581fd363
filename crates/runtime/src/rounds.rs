//! Work that is done again and again, with a pause after each time, until it is time to stop.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// The rounds of such work: `while rounds.next().await { … }`. A round that has begun is not broken off.
#[derive(Debug)]
pub struct Rounds {
    pause: Duration,
    /// The pause before the next round.
    next: Duration,
    stop: CancellationToken,
}

impl Rounds {
    /// The first round begins at once, and each other round `pause` after the end of the one before. No round begins
    /// after `stop` was cancelled.
    pub const fn every(pause: Duration, stop: CancellationToken) -> Self {
        Self { pause, next: Duration::ZERO, stop }
    }

    /// The first round begins after a pause, too.
    #[must_use]
    pub const fn after_a_pause(mut self) -> Self {
        self.next = self.pause;
        self
    }

    /// The next round begins after this pause instead.
    pub const fn set_next_pause(&mut self, pause: Duration) {
        self.next = pause;
    }

    /// Waits for the next round; `false` as soon as it is time to stop.
    pub async fn next(&mut self) -> bool {
        let pause = std::mem::replace(&mut self.next, self.pause);
        if self.stop.is_cancelled() {
            return false;
        }
        let slept = self.stop.run_until_cancelled(tokio::time::sleep(pause));
        slept.await.is_some()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    const PAUSE: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn rounds_begin_at_once_or_after_a_pause_and_then_after_each_pause() {
        let begun = Instant::now();
        let mut rounds = Rounds::every(PAUSE, CancellationToken::new());
        assert!(rounds.next().await);
        assert!(begun.elapsed() < PAUSE);
        assert!(rounds.next().await);
        assert!(begun.elapsed() >= PAUSE);
        rounds.set_next_pause(3 * PAUSE);
        assert!(rounds.next().await);
        assert!(begun.elapsed() >= 4 * PAUSE);
        assert!(rounds.next().await);
        let elapsed = begun.elapsed();
        assert!(elapsed >= 5 * PAUSE && elapsed < 6 * PAUSE, "{elapsed:?}");

        let begun = Instant::now();
        assert!(Rounds::every(PAUSE, CancellationToken::new()).after_a_pause().next().await);
        assert!(begun.elapsed() >= PAUSE);
    }

    #[tokio::test(start_paused = true)]
    async fn there_is_no_round_when_it_is_time_to_stop() {
        let (begun, stop) = (Instant::now(), CancellationToken::new());
        let mut rounds = Rounds::every(PAUSE, stop.clone());
        assert!(rounds.next().await);
        let stopping = async {
            tokio::time::sleep(PAUSE / 2).await;
            stop.cancel();
        };
        assert!(!tokio::join!(rounds.next(), stopping).0);
        assert!(begun.elapsed() < PAUSE);
        assert!(!rounds.next().await);
        assert!(!Rounds::every(PAUSE, stop).next().await);
    }
}

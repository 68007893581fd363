//! How often and for how long an operation on the server is tried.

use std::time::Duration;

use runtime::Backoff;
use tokio::time::{Instant, sleep};

use super::failure::Failure;

/// The pause before the second attempt of an operation; it doubles.
const PAUSE: Duration = Duration::from_millis(20);
/// The longest pause between two attempts.
const MAX_PAUSE: Duration = Duration::from_millis(500);
/// After this time of failed reads from a position, no record begins there.
const UNREADABLE_FOR: Duration = Duration::from_secs(1);

/// Attempts of one operation, until a deadline.
pub(super) struct Attempts {
    deadline: Instant,
    backoff: Backoff,
    /// The error of the previous attempt.
    failure: Option<Failure>,
    /// The time since which each attempt was a read that failed.
    unreadable_since: Option<Instant>,
}

impl Attempts {
    pub(super) fn new(deadline: Instant) -> Self {
        Self { deadline, backoff: Backoff::new(PAUSE, MAX_PAUSE), failure: None, unreadable_since: None }
    }

    /// The error of the previous attempt.
    pub(super) fn before(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// The error to report at the deadline.
    pub(super) fn late(self) -> Failure {
        self.failure.unwrap_or(Failure::Late)
    }

    /// Waits until the next attempt is due, or returns `failure` when there is none. Reads that fail for a long time
    /// mean that no record begins at their position.
    pub(super) async fn next(&mut self, failure: Failure) -> Result<(), Failure> {
        let now = Instant::now();
        self.unreadable_since =
            matches!(failure, Failure::FailedRead).then(|| self.unreadable_since.unwrap_or(now));
        if self.unreadable_since.is_some_and(|since| now - since >= UNREADABLE_FOR) {
            return Err(Failure::NoSuchPosition);
        }
        let pause = self.backoff.pause();
        if !failure.may_pass() || Instant::now() + pause >= self.deadline {
            return Err(failure);
        }
        tracing::debug!(%failure, "an operation on KurrentDB is tried again");
        sleep(pause).await;
        self.failure = Some(failure);
        Ok(())
    }
}

//! Waits for a condition, or for a run that is quick enough.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// The time limit of a test's wait.
const DEADLINE: Duration = Duration::from_secs(30);
/// The longest pause between two looks.
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// Waits until `condition` holds, which `what` describes.
///
/// # Panics
/// When it does not hold within 30 seconds.
pub async fn eventually(what: &str, condition: impl AsyncFnMut() -> bool) {
    until(what, DEADLINE, condition).await;
}

/// Waits until `condition` holds, which `what` describes.
///
/// # Panics
/// When it does not hold within `limit`.
pub async fn until<F: AsyncFnMut() -> bool>(what: &str, limit: Duration, mut condition: F) {
    let deadline = Instant::now() + limit;
    let mut pause = Duration::from_millis(5);
    while !condition().await {
        assert!(Instant::now() < deadline, "not within {limit:?}: {what}");
        sleep(pause).await;
        pause = LONGEST_PAUSE.min(pause * 2);
    }
}

/// Runs up to three times, until one run takes less than `limit`: other load of the machine rarely meets all of them.
/// `run` returns the time that counts.
///
/// # Panics
/// When no run takes less.
pub async fn once_within(limit: Duration, run: impl AsyncFn() -> Duration) {
    let mut took = Vec::new();
    while took.iter().all(|time| *time >= limit) {
        assert!(took.len() < 3, "not within {limit:?}: {took:?}");
        took.push(run().await);
    }
}

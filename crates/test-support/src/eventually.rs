//! Waits for a condition.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// The time limit of a test's wait.
const DEADLINE: Duration = Duration::from_secs(30);

/// Waits until `condition` holds, which `what` describes.
///
/// # Panics
/// When it does not hold within 30 seconds.
pub async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition().await {
        assert!(Instant::now() < deadline, "not within {DEADLINE:?}: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

//! What is done after somebody else appended first.

use std::time::Duration;

use runtime::random_between;

/// How often a command is decided again because somebody else appended first.
pub const ATTEMPTS: u32 = 16;

/// Waits a random moment, longer after each attempt, so that those who met do not meet again.
pub async fn pause_after_conflict(attempt: u32) {
    let longest = Duration::from_millis(2) * attempt;
    tokio::time::sleep(longest.mul_f64(random_between(0.0, 1.0))).await;
}

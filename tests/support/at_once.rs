//! Waiting for what every role has to refuse.

use std::time::{Duration, Instant};

use test_support::until;

/// Time within which every role has to refuse an ended session or token while the bus is up. The system is designed
/// for one second. A machine that is busy with other tests gets more, which is still far less than the 30 seconds for
/// which answers are cached.
const AT_ONCE: Duration = Duration::from_secs(15);

/// Waits until `condition` holds, for [`AT_ONCE`] at most, and prints how long that took.
pub(crate) async fn at_once(what: &str, condition: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    until(what, AT_ONCE, condition).await;
    eprintln!("{what}: after {} ms, of 1000", begun.elapsed().as_millis());
}

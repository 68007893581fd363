//! Background work that a process cannot do without.

use std::panic::AssertUnwindSafe;

use futures::FutureExt as _;
use tokio_util::sync::CancellationToken;

/// Runs `work`. Should it panic, the whole process is told to stop by way of `stop`, and started again by whoever
/// watches over it: half a process that looks alive is worse than none.
pub async fn vital<T>(work: impl Future<Output = T>, stop: CancellationToken) {
    // What it had in hand is not looked at again.
    if AssertUnwindSafe(work).catch_unwind().await.is_err() {
        tracing::error!("background work has panicked: this process stops");
        stop.cancel();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic, reason = "what is tested")]

    use super::*;

    #[tokio::test]
    async fn a_panic_stops_the_process_and_an_end_does_not() {
        let stop = CancellationToken::new();
        vital(async {}, stop.clone()).await;
        assert!(!stop.is_cancelled());
        vital(async { panic!("a bug") }, stop.clone()).await;
        assert!(stop.is_cancelled());
    }
}

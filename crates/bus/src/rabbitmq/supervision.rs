//! Tasks that run as long as the bus exists.

use std::panic::AssertUnwindSafe;

use futures::FutureExt;

use super::timing::BACKOFF;

/// Runs the future that `start` returns, and starts again after a panic: without a task that reconnects, the process
/// would look alive but not work.
pub(super) async fn restarted_after_panic<F: Future<Output = ()>>(what: &str, mut start: impl FnMut() -> F) {
    let mut backoff = BACKOFF;
    while AssertUnwindSafe(async { start().await }).catch_unwind().await.is_err() {
        tracing::error!(what, "a background task of the message bus has panicked: starting it again");
        backoff.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_survived_and_an_end_is_an_end() {
        let mut starts = 0;
        restarted_after_panic("a test", || {
            starts += 1;
            let broken = starts < 3;
            async move { assert!(!broken, "a bug") }
        })
        .await;
        assert_eq!(starts, 3);
    }
}

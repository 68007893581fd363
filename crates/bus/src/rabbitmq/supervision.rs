//! Tasks that keep something alive for as long as the bus lives.

use std::panic::AssertUnwindSafe;

use futures::FutureExt;

use super::timing::BACKOFF;

/// Runs what `start` starts to its end, and starts it again after a panic: a connection that nobody makes again would
/// leave half a process that looks alive.
pub(super) async fn restarted_after_panic<F: Future<Output = ()>>(what: &str, mut start: impl FnMut() -> F) {
    let mut backoff = BACKOFF;
    while AssertUnwindSafe(async { start().await })
        .catch_unwind()
        .await
        .is_err()
    {
        tracing::error!(
            what,
            "a background task of the message bus has panicked: starting it again"
        );
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

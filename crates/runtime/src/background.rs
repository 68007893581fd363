//! Work that goes on beside the requests: the only place that starts tasks.

use std::{panic::AssertUnwindSafe, time::Duration};

use futures::FutureExt as _;
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The background work of a process, which it cannot do without: it is told to stop, and waited for at the end.
#[derive(Debug, Clone, Default)]
pub struct Background {
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Background {
    /// Without any work yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs `work`, which ends soon after [`Self::stop`] has been cancelled. Should it panic, all background work is told
    /// to stop, and the process with it, to be started again by whoever watches over it: half a process that looks alive
    /// is worse than none.
    pub fn spawn(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            // Nothing looks at what it had in hand any more.
            if AssertUnwindSafe(work).catch_unwind().await.is_err() {
                tracing::error!(task = name, "background work has panicked: this process stops");
                stop.cancel();
            }
        });
    }

    /// As [`Self::spawn`], for work that may be dropped wherever it is when it is time to stop.
    pub fn spawn_until_stopped(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.spawn(name, async move {
            stop.run_until_cancelled_owned(work).await;
        });
    }

    /// Cancelled when it is time to stop.
    #[must_use]
    pub fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Tells all work to stop and waits for it, at most `grace`. Whether all of it has ended.
    pub async fn shut_down(&self, grace: Duration) -> bool {
        self.stop.cancel();
        self.tasks.close();
        timeout(grace, self.tasks.wait()).await.is_ok()
    }
}

/// Starts a task that belongs to a value, which waits for it, aborts it, or outlives its use. A panic is logged under
/// `name`, and the handle tells of it.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the place that others are sent to"
)]
pub fn spawn<T: Send + 'static>(
    name: &'static str,
    work: impl Future<Output = T> + Send + 'static,
) -> JoinHandle<T> {
    tokio::spawn(async move {
        match AssertUnwindSafe(work).catch_unwind().await {
            Ok(output) => output,
            Err(panic) => {
                tracing::error!(task = name, "a task has panicked");
                std::panic::resume_unwind(panic)
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_stops_the_process_and_an_end_does_not() {
        let background = Background::new();
        background.spawn("one that ends", async {});
        assert!(
            timeout(Duration::from_millis(50), background.stop().cancelled())
                .await
                .is_err()
        );
        background.spawn("one that panics", async { panic!("a bug") });
        timeout(Duration::from_secs(20), background.stop().cancelled())
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn shutting_down_says_whether_all_work_has_ended() {
        let background = Background::new();
        background.spawn_until_stopped("one that waits", std::future::pending());
        assert!(background.shut_down(Duration::from_secs(20)).await);

        let background = Background::new();
        background.spawn("one that does not listen", std::future::pending());
        assert!(!background.shut_down(Duration::from_millis(50)).await);
    }

    #[tokio::test]
    async fn the_handle_of_a_task_tells_of_its_panic() {
        assert_eq!(spawn("one that ends", async { 1 }).await.unwrap(), 1);
        let panicked = spawn("one that panics", async { panic!("a bug") });
        assert!(panicked.await.unwrap_err().is_panic());
    }
}

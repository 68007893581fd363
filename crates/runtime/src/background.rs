//! Background work of the process. Only this file starts tasks.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures::FutureExt as _;
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The background tasks of a process. They are stopped together, and awaited at the end.
#[derive(Debug, Clone, Default)]
pub struct Background {
    tasks: TaskTracker,
    stop: CancellationToken,
    failure: Arc<OnceLock<String>>,
}

impl Background {
    /// Creates it without any work.
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs `work`, which must end soon after [`Self::stop`] was cancelled. If it panics, all background work and the
    /// process stop, so that a supervisor starts it again: a process without one of its tasks would look alive but
    /// not work.
    pub fn spawn(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let background = self.clone();
        self.tasks.spawn(async move {
            // Nothing uses its data after a panic.
            if AssertUnwindSafe(work).catch_unwind().await.is_err() {
                background.fail(&format!("background work has panicked: {name}"));
            }
        });
    }

    /// Like [`Self::spawn`], for work that may be dropped at any point when it is time to stop.
    pub fn spawn_until_stopped(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.spawn(name, async move {
            stop.run_until_cancelled_owned(work).await;
        });
    }

    /// Stops all work and the process, which has failed because of `reason`.
    pub fn fail(&self, reason: &str) {
        tracing::error!(reason, "this process stops");
        // The first reason is the cause of others.
        let _ = self.failure.set(reason.to_owned());
        self.stop.cancel();
    }

    /// Why the process has failed, if it has.
    pub fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }

    /// Cancelled when it is time to stop.
    #[must_use]
    pub fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Stops all work and waits for it, at most `grace`. Returns whether all of it has ended.
    pub async fn shut_down(&self, grace: Duration) -> bool {
        self.stop.cancel();
        self.tasks.close();
        timeout(grace, self.tasks.wait()).await.is_ok()
    }
}

/// Starts a task that belongs to a value. The caller awaits or aborts it, or lets it run on. A panic is logged with
/// `name`, and the handle returns it.
#[expect(clippy::disallowed_methods, reason = "this is the place that others are sent to")]
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
        assert!(timeout(Duration::from_millis(50), background.stop().cancelled()).await.is_err());
        assert_eq!(background.failure(), None);
        background.spawn("one that panics", async { panic!("a bug") });
        timeout(Duration::from_secs(20), background.stop().cancelled()).await.unwrap();
        let failure = background.failure();
        assert_eq!(failure, Some("background work has panicked: one that panics"));
    }

    #[tokio::test]
    async fn a_process_that_fails_on_purpose_says_why() {
        let background = Background::new();
        background.fail("another has its place");
        background.fail("nothing works any more");
        assert!(background.stop().is_cancelled());
        assert_eq!(background.failure(), Some("another has its place"));
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

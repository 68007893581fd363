//! Blocking calls that may never end, such as those to a file system of the network.

use std::{fs, os::unix::fs::FileTypeExt as _, path::Path, sync::Arc, time::Duration};

use tokio::{sync::Semaphore, task::spawn_blocking, time::timeout};

/// How long reading files may take when a process starts.
const START_TIMEOUT: Duration = Duration::from_secs(5);

/// The result of `read`, which reads files when a process starts. A file system that does not answer must neither hold
/// up what was started before, nor keep the process from saying why it does not start.
///
/// # Errors
/// When it does not end in time, or panics.
pub async fn read_at_start<T: Send + 'static>(
    read: impl FnOnce() -> T + Send + 'static,
) -> Result<T, NoAnswer> {
    BlockingCalls::new(1, START_TIMEOUT).run(read).await
}

/// Whether `file` is a pipe, as `/dev/fd/3` may be one. What is in it can be read once, so a check leaves it alone.
pub fn is_pipe(file: Option<&Path>) -> bool {
    let metadata = file.and_then(|file| fs::metadata(file).ok());
    metadata.is_some_and(|file| file.file_type().is_fifo())
}

/// Runs blocking calls on threads of their own. Callers wait for a limited time. A call that does not end keeps its
/// thread, so the number of concurrent calls is limited, too.
#[derive(Debug)]
pub struct BlockingCalls {
    running: Arc<Semaphore>,
    limit: Duration,
}

/// A blocking call did not end in time, or could not begin because others have not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the file system does not answer")]
pub struct NoAnswer;

impl BlockingCalls {
    /// At most `at_once` calls run at the same time, and each takes at most `limit`, including the time until it can
    /// begin.
    pub fn new(at_once: usize, limit: Duration) -> Self {
        Self { running: Arc::new(Semaphore::new(at_once)), limit }
    }

    /// The result of `call`. It is not broken off when it takes too long.
    ///
    /// # Errors
    /// When it does not end in time, or panics.
    pub async fn run<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NoAnswer> {
        let running = async {
            let permit = Arc::clone(&self.running).acquire_owned().await.ok()?;
            spawn_blocking(move || {
                let _permit = permit;
                call()
            })
            .await
            .ok()
        };
        timeout(self.limit, running).await.ok().flatten().ok_or(NoAnswer)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc::channel,
    };

    use super::*;

    #[tokio::test]
    async fn calls_that_do_not_end_take_no_more_threads_than_allowed() {
        let calls = BlockingCalls::new(2, Duration::from_millis(20));
        let begun = Arc::new(AtomicUsize::new(0));
        let (mut ends, mut outcomes) = (Vec::new(), Vec::new());
        for _ in 0..5 {
            let (end, ended) = channel::<()>();
            let begun = Arc::clone(&begun);
            ends.push(end);
            let call = move || {
                begun.fetch_add(1, Ordering::Relaxed);
                let _ = ended.recv();
            };
            outcomes.push(calls.run(call).await);
        }
        assert_eq!(outcomes, [Err(NoAnswer); 5]);
        assert_eq!(begun.load(Ordering::Relaxed), 2);
        drop(ends);
        while calls.run(|| 7).await != Ok(7) {}
    }
}

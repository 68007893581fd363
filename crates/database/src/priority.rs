//! The priority of threads that run statements on SQLite.

use std::thread;

use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};
use tokio::{runtime::Handle, sync::oneshot};
use tokio_util::task::TaskTracker;

/// The niceness of threads of low priority: they get a third of what the others get when both want to run, so that
/// their statements keep their time limits on a busy machine.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 5;

/// How the thread of a connection to SQLite competes for the processors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Priority {
    Normal,
    /// Behind others that want to run. The same as the usual one where niceness belongs to a process and not to a
    /// thread, which is everywhere except on Linux.
    Low,
}

impl Priority {
    /// Opens a connection whose thread has this priority. The driver starts a thread for each connection, which
    /// inherits the niceness of the thread that opens it (nice(2)). A connection that nobody waits for any more is
    /// closed in order, for which whoever waits for `ending` waits.
    pub(crate) async fn connect(
        self,
        options: &SqliteConnectOptions,
        ending: &TaskTracker,
    ) -> Result<SqliteConnection, sqlx::Error> {
        if self == Self::Normal {
            return options.connect().await;
        }
        let (options, runtime, ending) = (options.clone(), Handle::current(), ending.token());
        let (sender, opened) = oneshot::channel();
        thread::Builder::new().name("opening".to_owned()).spawn(move || {
            give_way();
            if let Err(Ok(unwanted)) = sender.send(runtime.block_on(options.connect())) {
                let _ = runtime.block_on(unwanted.close());
            }
            drop(ending);
        })?;
        opened.await.unwrap_or(Err(sqlx::Error::WorkerCrashed))
    }
}

/// Lowers the priority of this thread, and of those that it starts.
fn give_way() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(NICENESS) {
        tracing::debug!(%error, "a thread for costly queries has the usual priority");
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// The niceness of every thread of a connection in this process (proc_pid_stat(5)).
    fn niceness() -> Vec<i64> {
        std::fs::read_dir("/proc/self/task")
            .into_iter()
            .flatten()
            .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("stat")).ok())
            .filter_map(|stat| {
                let (name, numbers) = stat.rsplit_once(')')?;
                let niceness = numbers.split_whitespace().nth(16)?.parse().ok()?;
                name.contains("(sqlx-sqlite").then_some(niceness)
            })
            .collect()
    }

    /// Held by each test, because they look at all threads of the process.
    static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

    #[tokio::test]
    async fn only_the_thread_of_low_priority_gives_way() {
        let _alone = ALONE.lock().await;
        let (options, ending) = (SqliteConnectOptions::new().in_memory(true), TaskTracker::new());
        let usual = i64::from(rustix::process::nice(0).unwrap());
        let _normal = Priority::Normal.connect(&options, &ending).await.unwrap();
        let before = niceness();
        assert!(before.contains(&usual), "{before:?}");
        assert!(before.iter().all(|niceness| *niceness == usual), "{before:?}");
        let _low = Priority::Low.connect(&options, &ending).await.unwrap();
        let after = niceness();
        assert_eq!(after.iter().filter(|niceness| **niceness > usual).count(), 1, "{after:?}");
        let own = i64::from(rustix::process::nice(0).unwrap());
        assert_eq!(own, usual, "the thread that asked");
    }

    #[tokio::test]
    async fn a_connection_that_nobody_waits_for_is_closed_before_the_end() {
        let _alone = ALONE.lock().await;
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a.db");
        let options = SqliteConnectOptions::new().filename(&file).create_if_missing(true);
        let ending = TaskTracker::new();
        let given_up = Priority::Low.connect(&options, &ending);
        assert!(futures::FutureExt::now_or_never(given_up).is_none());
        ending.close();
        ending.wait().await;
        assert!(file.exists());
        let open = std::fs::read_dir("/proc/self/fd")
            .unwrap()
            .filter_map(|descriptor| std::fs::read_link(descriptor.ok()?.path()).ok())
            .filter(|target| target.starts_with(directory.path()));
        assert_eq!(open.count(), 0);
    }
}

//! Reads the policy file again on `SIGHUP`. Connections and budgets are not affected.

use std::{path::PathBuf, time::Duration};

use runtime::BlockingCalls;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Policies;

/// The time limit for reading the file.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// Handles `SIGHUP` from now on; the future reads `file` again after each.
pub(crate) fn reload_on_hangup(
    policies: Policies,
    file: PathBuf,
) -> std::io::Result<impl Future<Output = ()> + Send> {
    let hangups = signal(SignalKind::hangup())?;
    Ok(reload(policies, file, hangups))
}

async fn reload(policies: Policies, file: PathBuf, mut hangups: Signal) {
    let reads = BlockingCalls::new(1, READ_TIMEOUT);
    while hangups.recv().await.is_some() {
        match replace(&reads, policies.clone(), file.clone()).await {
            Ok(()) => tracing::info!(file = %file.display(), "the limits were read again"),
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), "the limits stay as they were");
            }
        }
    }
}

async fn replace(reads: &BlockingCalls, policies: Policies, file: PathBuf) -> anyhow::Result<()> {
    reads.run(move || policies.replace_from(&file)).await?
}

#[cfg(test)]
mod tests {
    use test_support::{make_pipe, open_pipe};

    use super::*;

    #[tokio::test]
    async fn a_file_system_that_does_not_answer_keeps_no_thread_of_the_runtime() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("gateway.toml");
        make_pipe(&pipe);
        let policies = Policies::read(None).unwrap();
        let reads = BlockingCalls::new(1, Duration::from_millis(50));
        let error = replace(&reads, policies, pipe.clone()).await.unwrap_err();
        assert_eq!(error.to_string(), "the file system does not answer");
        // Lets the call end.
        drop(open_pipe(&pipe));
    }
}

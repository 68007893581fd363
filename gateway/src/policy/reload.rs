//! Reads the policy file again on `SIGHUP`. Connections and budgets are not affected.

use std::path::PathBuf;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Policies;

/// Handles `SIGHUP` from now on; the future reads `file` again after each.
///
/// # Errors
/// When the signal handler cannot be installed.
pub(crate) fn reload_on_hangup(
    policies: Policies,
    file: PathBuf,
) -> std::io::Result<impl Future<Output = ()> + Send> {
    let hangups = signal(SignalKind::hangup())?;
    Ok(reload(policies, file, hangups))
}

async fn reload(policies: Policies, file: PathBuf, mut hangups: Signal) {
    while hangups.recv().await.is_some() {
        match policies.replace_from(&file) {
            Ok(()) => tracing::info!(file = %file.display(), "the limits were read again"),
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), "the limits stay as they were");
            }
        }
    }
}

//! Runs `wrk`, a load generator: <https://github.com/wg/wrk>.

use std::{path::Path, process::Command, time::Duration};

use anyhow::{Context as _, ensure};

use super::second_gateway::CONNECTIONS;

/// The result of one run.
pub(super) struct Outcome {
    /// Answered requests per second.
    pub(super) rate: f64,
    /// Number of answered requests.
    pub(super) requests: u64,
}

/// Sends requests to `path` at `address` for `span`, with `headers`, or as the Lua `script` says.
///
/// # Errors
///
/// When an answer was not a success.
pub(super) async fn ask(
    address: &str,
    path: &str,
    headers: &[String],
    script: Option<&Path>,
    span: Duration,
) -> anyhow::Result<Outcome> {
    let mut command = Command::new("wrk");
    command
        .args(["--threads=1", &format!("--connections={CONNECTIONS}")])
        .arg(format!("--duration={}s", span.as_secs().max(1)));
    for header in headers {
        command.arg("--header").arg(header);
    }
    if let Some(script) = script {
        command.arg("--script").arg(script);
    }
    command.arg(format!("http://{address}{path}"));
    let output = tokio::task::spawn_blocking(move || command.output())
        .await?
        .context("wrk is not here: Debian has it in the package wrk")?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success() && !text.contains("Non-2xx") && !text.contains("Socket errors"),
        "wrk at {address}{path}:\n{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let rate = after(&text, "Requests/sec:")?.parse()?;
    let requests = text
        .lines()
        .find_map(|line| line.trim().split_once(" requests in "))
        .context("wrk did not say how many requests it made")?
        .0
        .parse()?;
    Ok(Outcome { rate, requests })
}

fn after<'t>(text: &'t str, name: &str) -> anyhow::Result<&'t str> {
    text.lines()
        .find_map(|line| line.trim().strip_prefix(name))
        .map(str::trim)
        .with_context(|| format!("wrk did not say {name}\n{text}"))
}

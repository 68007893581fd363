//! A second gateway beside the system's own, in front of nginx.

use anyhow::Context as _;

use super::nginx::Nginx;
use crate::system::System;

/// Number of connections for the requests.
pub(super) const CONNECTIONS: usize = 64;

/// A limit by address that is not reached.
pub(super) const BY_ADDRESS: &str = "[[limit]]\nname = \"address\"\nby = \"address\"\nroutes = [\"*\"]\nrequests = 20000\nper_seconds = 1\nburst = 200000\n";

/// The setting that logs one in a million of the requests that succeed in time.
pub(super) fn quiet() -> (&'static str, String) {
    ("TASKLEDGER_ACCESS_LOG_SAMPLE", "1000000".to_owned())
}

/// Starts a second gateway with this policy and these settings, whose roles are all `upstream`.
pub(super) async fn in_front_of(
    system: &mut System,
    upstream: &Nginx,
    policy: &str,
    settings: &[(&'static str, String)],
) -> anyhow::Result<String> {
    let file = system.directory().join("bench-gateway.toml");
    std::fs::write(&file, policy)?;
    let mut all = vec![("TASKLEDGER_GATEWAY_CONFIG".to_owned(), file.display().to_string())];
    for role in ["AUTH", "COMMAND_API", "QUERY_API", "PROJECTOR"] {
        all.push((format!("TASKLEDGER_{role}_URL"), format!("http://{}", upstream.address())));
    }
    all.extend(settings.iter().map(|(variable, value)| ((*variable).to_owned(), value.clone())));
    system.start_beside("gateway", &all).await.context("the gateway in front of nginx")
}

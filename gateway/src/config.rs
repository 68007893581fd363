//! The configuration of the gateway.

use std::path::PathBuf;

use http_server::HttpService;
use url::Url;

/// The addresses of the other roles, and the file with the policy.
pub struct Config {
    /// The role for commands about tasks.
    pub command_api: Upstream,
    /// The role for queries about tasks, and for the audit.
    pub query_api: Upstream,
    /// The role for accounts, sessions and tokens.
    pub auth: Upstream,
    /// The projector, only for probes and metrics.
    pub projector: Upstream,
    /// The file of the authorities for upstreams at `https://` addresses.
    pub upstream_ca: Option<PathBuf>,
    /// The file of the policy: trusted proxies, limits and origins. Without one, `deploy/gateway.toml` applies.
    pub policy: Option<PathBuf>,
}

/// The way to reach a role.
pub enum Upstream {
    /// In this process.
    InProcess(HttpService),
    /// At these base URLs, one for each replica.
    Http(Vec<Url>),
}

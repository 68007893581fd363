//! What the front door is told at the start.

use std::{path::PathBuf, sync::Arc};

use auth_client::Verifier;
use axum::Router;
use url::Url;

/// Where the other roles are, and where it stands how strangers are treated.
pub struct Config {
    /// Takes commands about tasks.
    pub command_api: Upstream,
    /// Answers queries about tasks, and the audit.
    pub query_api: Upstream,
    /// Accounts, sessions, tokens.
    pub auth: Upstream,
    /// Serves nothing to clients; for probes and metrics only.
    pub projector: Upstream,
    /// File with the authorities that are believed about upstreams at `https://` addresses.
    pub upstream_ca: Option<PathBuf>,
    /// Whom to believe and how much to let through; see `deploy/gateway.toml`, which is in force without one.
    pub policy: Option<PathBuf>,
}

/// One role, as the front door reaches it.
pub enum Upstream {
    /// In this process.
    InProcess(Router),
    /// At these base addresses, one for each replica.
    Http(Vec<Url>),
}

/// What the front door needs from others.
pub struct Dependencies {
    /// Tells whose token a request carries.
    pub verifier: Arc<Verifier>,
}

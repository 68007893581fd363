//! The HTTP client that all upstreams share, with its pool of connections.

use std::{path::Path, time::Duration};

use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client as LegacyClient, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};

use super::replayable_body::ReplayableBody;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Well below the time after which a role closes a connection that nobody uses.
const KEEP_IDLE: Duration = Duration::from_secs(30);
/// Connections to one replica that are kept while nobody uses them. What a burst needed beyond that is closed after it.
const MOST_IDLE: usize = 256;

/// The client; clones share its pool.
#[derive(Clone)]
pub(crate) struct Client {
    pub(super) pool: LegacyClient<HttpsConnector<HttpConnector>, ReplayableBody>,
    /// Whether an address that begins with `https` can be reached at all.
    pub(super) believes_somebody: bool,
}

impl Client {
    /// A client with an empty pool that believes the authorities in the file, and without one nobody.
    ///
    /// # Errors
    /// When the file cannot be read or names no authority.
    pub(crate) fn believing(authorities: Option<&Path>) -> anyhow::Result<Self> {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        // The connector around it is asked for `https`, too.
        connector.enforce_http(false);
        let tls = match authorities {
            Some(file) => tls::trusting(file)?,
            None => tls::trusting_nobody()?,
        };
        let pool = LegacyClient::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(KEEP_IDLE)
            .pool_max_idle_per_host(MOST_IDLE)
            .build(HttpsConnector::from((connector, tls)));
        Ok(Self {
            pool,
            believes_somebody: authorities.is_some(),
        })
    }
}

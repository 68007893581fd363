//! The HTTP client that all upstreams share, with its pool of connections.

use std::time::Duration;

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

pub(crate) type Client = LegacyClient<HttpConnector, ReplayableBody>;

/// A client with an empty pool.
pub(crate) fn client() -> Client {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    connector.set_nodelay(true);
    LegacyClient::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(KEEP_IDLE)
        .pool_max_idle_per_host(MOST_IDLE)
        .build(connector)
}

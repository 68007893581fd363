//! The HTTP client that all upstreams share, with a pool of connections for each runtime: on a runtime of one thread, a
//! request, its connection and its answer stay on that thread.

use std::{path::Path, sync::Arc, time::Duration};

use dashmap::DashMap;
use http::{Request, Uri};
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::{
    client::legacy::{Client as LegacyClient, ResponseFuture, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use tokio::{
    net::TcpStream,
    runtime::{Handle, Id},
    time::timeout,
};
use tower::{BoxError, ServiceExt as _, util::BoxCloneSyncService};

use super::replayable_body::ReplayableBody;

/// The time limit for a TCP connection.
const TCP_TIMEOUT: Duration = Duration::from_secs(1);
/// The time limit until a request can be sent: name resolution, TCP connection and TLS handshake together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long an unused connection is kept. Shorter than the time after which a role closes one.
const KEEP_IDLE: Duration = Duration::from_secs(30);
/// The most unused connections of one runtime to one replica. More are closed after a burst.
const MAX_IDLE_CONNECTIONS: usize = 256;

type Connector = BoxCloneSyncService<Uri, MaybeHttpsStream<TokioIo<TcpStream>>, BoxError>;
type Pool = LegacyClient<Connector, ReplayableBody>;

/// The client; clones share its pools.
#[derive(Clone)]
pub(crate) struct Client {
    connector: Connector,
    pools: Arc<DashMap<Id, Pool>>,
    /// Whether `https` addresses can be reached at all.
    pub(super) believes_somebody: bool,
}

impl Client {
    /// A client with an empty pool that trusts the authorities in the file, or none without a file.
    pub(crate) fn believing(authorities: Option<&Path>) -> anyhow::Result<Self> {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(TCP_TIMEOUT));
        connector.set_nodelay(true);
        // The connector around it also gets `https` addresses.
        connector.enforce_http(false);
        let tls = match authorities {
            Some(file) => tls::trusting(file)?,
            None => tls::trusting_nobody()?,
        };
        let connector = HttpsConnector::from((connector, tls)).map_future(|connecting| async {
            match timeout(CONNECT_TIMEOUT, connecting).await {
                Ok(connected) => connected,
                Err(elapsed) => Err(elapsed.into()),
            }
        });
        Ok(Self {
            connector: BoxCloneSyncService::new(connector),
            pools: Arc::default(),
            believes_somebody: authorities.is_some(),
        })
    }

    /// Sends a request on a connection of this runtime.
    pub(super) fn request(&self, request: Request<ReplayableBody>) -> ResponseFuture {
        let runtime = Handle::current().id();
        if let Some(pool) = self.pools.get(&runtime) {
            return pool.request(request);
        }
        let pool = self.pools.entry(runtime).or_insert_with(|| {
            LegacyClient::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(KEEP_IDLE)
                .pool_max_idle_per_host(MAX_IDLE_CONNECTIONS)
                .build(self.connector.clone())
        });
        pool.request(request)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::TcpListener,
        sync::mpsc::channel,
        thread,
    };

    use axum::body::Body;
    use http_body_util::BodyExt as _;
    use tokio::runtime::Builder;

    use super::*;

    #[test]
    fn a_connection_is_used_again_by_its_own_runtime_alone() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (accepted, connections) = channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                accepted.send(()).unwrap();
                thread::spawn(move || {
                    let mut request = [0; 4096];
                    while stream.read(&mut request).unwrap() > 0 {
                        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").unwrap();
                    }
                });
            }
        });
        let client = Client::believing(None).unwrap();
        let runtimes = [(); 2].map(|()| Builder::new_current_thread().enable_all().build().unwrap());
        for round in 0..3 {
            for runtime in &runtimes {
                runtime.block_on(async {
                    let mut request = Request::new(ReplayableBody::new(Body::empty()));
                    *request.uri_mut() = format!("http://{address}/").parse().unwrap();
                    let answer = client.request(request).await.unwrap();
                    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "ok");
                    // The connection returns to its pool in a separate task.
                    tokio::task::yield_now().await;
                });
            }
            let expected = if round == 0 { 2 } else { 0 };
            assert_eq!(connections.try_iter().count(), expected, "in round {round}");
        }
    }

    #[tokio::test]
    async fn a_handshake_that_does_not_end_is_no_connection() {
        // The kernel accepts the connection, but nobody answers the TLS handshake.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = Client::believing(None).unwrap();
        let mut request = Request::new(ReplayableBody::new(Body::empty()));
        *request.uri_mut() = format!("https://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let outcome = timeout(CONNECT_TIMEOUT * 5, client.request(request)).await;
        assert!(outcome.expect("an end").unwrap_err().is_connect());
    }
}

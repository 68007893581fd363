//! Makes connections to upstreams, over TCP or over TLS.

use std::{error::Error, path::Path, time::Duration};

use http::Uri;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use tokio::net::TcpStream;
use tower::ServiceExt as _;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// What the bytes of a connection travel in.
pub(super) type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

/// What makes connections; clones share whom it believes.
#[derive(Clone)]
pub(crate) struct Connector {
    https: HttpsConnector<HttpConnector>,
    /// Whether an address that begins with `https` can be reached at all.
    pub(super) believes_somebody: bool,
}

impl Connector {
    /// One that believes the authorities in the file, and without one nobody.
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
        Ok(Self {
            https: HttpsConnector::from((connector, tls)),
            believes_somebody: authorities.is_some(),
        })
    }

    /// Connects to the host that `destination` names.
    ///
    /// # Errors
    /// When nobody is there, or there is no agreement on TLS.
    pub(super) async fn connect(&self, destination: Uri) -> Result<Stream, Box<dyn Error + Send + Sync>> {
        self.https.clone().oneshot(destination).await
    }
}

//! The HTTP client that sends spans to the collector. It uses the HTTP library that the program already has.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use opentelemetry_http::{HttpClient, HttpError};
use tokio::{runtime::Handle, time::timeout};

/// Timeout of a whole exchange.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum number of bytes of an answer.
const MAX_ANSWER: usize = 64 * 1024;

#[derive(Debug, Clone)]
pub(super) struct Collector {
    client: Client<HttpConnector, Full<Bytes>>,
    runtime: Handle,
}

impl Collector {
    pub(super) fn new(runtime: Handle) -> Self {
        Self { client: Client::builder(TokioExecutor::new()).build_http(), runtime }
    }
}

#[async_trait]
impl HttpClient for Collector {
    /// Runs on a thread of the exporter, which is not one of the runtime's threads.
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let exchange = async move {
            let response = client.request(request.map(Full::new)).await?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, MAX_ANSWER).collect().await?.to_bytes();
            Ok::<_, HttpError>(Response::from_parts(parts, body))
        };
        let task = {
            let _runtime = self.runtime.enter();
            runtime::spawn("export of spans", timeout_of(exchange))
        };
        task.await?
    }
}

async fn timeout_of(
    exchange: impl Future<Output = Result<Response<Bytes>, HttpError>> + Send,
) -> Result<Response<Bytes>, HttpError> {
    timeout(TIMEOUT, exchange).await?
}

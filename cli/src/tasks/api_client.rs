//! A client of the HTTP API that authenticates with a token and retries requests.

use std::{
    io,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use anyhow::{Context as _, anyhow, bail};
use api_types::Problem;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    HeaderMap, Method, Request, StatusCode,
    body::Bytes,
    header::{self, HeaderValue},
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use runtime::{Backoff, masked};
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::{sleep, timeout};
use url::Url;

use crate::settings::Settings;

/// Timeout for one answer.
const DEADLINE: Duration = Duration::from_secs(60);
/// Maximum bytes of one answer.
const MAX_BYTES: usize = 16 << 20;
/// Maximum number of attempts for a request.
const TRIES: u32 = 10;
/// Maximum number of seconds that the client waits because of `Retry-After`. If an answer asks for more, the request
/// fails.
const MAX_WAIT: u64 = 60;

pub(super) struct ApiClient {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    url: String,
    authorization: HeaderValue,
    /// Whether there was ever an answer, so that a refused connection is an outage and no wrong address.
    has_answered: AtomicBool,
}

pub(super) struct Answer<T> {
    pub(super) content: T,
    /// Whether the command had been answered before it was sent, so that nothing happened this time.
    pub(super) is_repeated: bool,
}

impl ApiClient {
    pub(super) fn new(url: &Url, token: &str, settings: &Settings) -> anyhow::Result<Self> {
        let has_user = !url.username().is_empty() || url.password().is_some();
        if !matches!(url.scheme(), "http" | "https") || has_user || url.query().is_some() {
            bail!(
                "{} is not the address of an API: expected http:// or https://, without a user",
                masked(url.as_str())
            );
        }
        let mut authorization =
            HeaderValue::try_from(format!("Bearer {token}")).context("the token is none")?;
        authorization.set_sensitive(true);
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        let builder = HttpsConnectorBuilder::new();
        let builder = match &settings.tls.upstream_ca {
            Some(file) => {
                let mut config = tls::trusting(file)?;
                // The connector sets these itself.
                config.alpn_protocols.clear();
                builder.with_tls_config(config)
            }
            None => builder.with_webpki_roots(),
        };
        let connector = builder.https_or_http().enable_http1().wrap_connector(connector);
        Ok(Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            url: url.as_str().trim_end_matches('/').to_owned(),
            authorization,
            has_answered: AtomicBool::new(false),
        })
    }

    /// Sends a query and decodes its answer.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        Ok(self.send(Method::GET, path, Bytes::new(), None).await?.content)
    }

    /// Sends a command with an idempotency key, so that it takes effect once however often it is sent.
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        key: &str,
    ) -> anyhow::Result<Answer<T>> {
        let body = serde_json::to_vec(body)?;
        self.send(Method::POST, path, body.into(), Some(key)).await
    }

    async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        key: Option<&str>,
    ) -> anyhow::Result<Answer<T>> {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(10));
        let mut last = anyhow!("there was no answer");
        // Whether an earlier try may have taken effect: then a repeated answer may be its answer.
        let mut may_be_done = false;
        for _ in 0..TRIES {
            let mut request = Request::builder()
                .method(&method)
                .uri(format!("{}{path}", self.url))
                .header(header::AUTHORIZATION, &self.authorization);
            if let Some(key) = key {
                request =
                    request.header(header::CONTENT_TYPE, "application/json").header("idempotency-key", key);
            }
            let request = request.body(Full::new(body.clone()))?;
            match timeout(DEADLINE, self.answer(request)).await {
                Ok(Ok((status, headers, bytes))) if status.is_success() => {
                    let content = serde_json::from_slice(&bytes)
                        .with_context(|| format!("{} is not the API of this release", self.url))?;
                    return Ok(Answer {
                        content,
                        is_repeated: !may_be_done && headers.contains_key(&http_api::IDEMPOTENCY_REPLAYED),
                    });
                }
                Ok(Ok((status, headers, bytes))) => {
                    may_be_done |= status.is_server_error();
                    last = refusal(status, &bytes);
                    if !matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
                        return Err(last);
                    }
                    if let Some(seconds) = retry_after(&headers) {
                        if seconds > MAX_WAIT {
                            return Err(last.context(format!("try again in {seconds} seconds")));
                        }
                        sleep(Duration::from_secs(seconds)).await;
                        continue;
                    }
                }
                Ok(Err(error)) => {
                    if let Some(untrusted) = untrusted(&error) {
                        bail!(
                            "cannot trust {}: {untrusted}. TASKLEDGER_UPSTREAM_CA names the file of its authority",
                            self.url
                        );
                    }
                    may_be_done |= !is_refused(&error);
                    let is_final = is_refused(&error) && !self.has_answered.load(Ordering::Relaxed);
                    last = error.context(format!("{} does not answer", self.url));
                    if is_final {
                        return Err(last);
                    }
                }
                Err(_) => {
                    may_be_done = true;
                    last = anyhow!("{} does not answer in time", self.url);
                }
            }
            backoff.wait().await;
        }
        Err(last)
    }

    async fn answer(&self, request: Request<Full<Bytes>>) -> anyhow::Result<(StatusCode, HeaderMap, Bytes)> {
        let (head, body) = self.client.request(request).await?.into_parts();
        self.has_answered.store(true, Ordering::Relaxed);
        let body = Limited::new(body, MAX_BYTES).collect().await.map_err(|error| anyhow!(error))?;
        Ok((head.status, head.headers, body.to_bytes()))
    }
}

fn io_errors(error: &anyhow::Error) -> impl Iterator<Item = &io::Error> {
    error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>())
}

fn is_refused(error: &anyhow::Error) -> bool {
    io_errors(error).any(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

/// Why TLS cannot be used, which no repetition changes.
fn untrusted(error: &anyhow::Error) -> Option<&rustls::Error> {
    io_errors(error).find_map(|error| error.get_ref()?.downcast_ref())
}

/// The error for an answer that is not a success.
fn refusal(status: StatusCode, body: &[u8]) -> anyhow::Error {
    match serde_json::from_slice::<Problem>(body) {
        Ok(problem) => anyhow!("the API answers {status}: {}", said(&problem)),
        Err(_) => anyhow!("the API answers {status}"),
    }
}

/// A problem as one sentence.
pub(super) fn said(problem: &Problem) -> String {
    let mut text = problem.detail.clone().unwrap_or_else(|| problem.title.to_string());
    for error in &problem.errors {
        text.push_str(&format!("; {} {}", error.pointer, error.detail));
    }
    text
}

fn retry_after(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()
}

//! One replica of a role: its address, its readiness, and sending a request to it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{body::Body, response::Response};
use http::{
    HeaderMap, Request, StatusCode, Uri, header,
    request::Parts,
    uri::{PathAndQuery, Scheme},
};
use http_api::GuardedBody;
use prometheus::IntGauge;
use runtime::{Counted, Rounds, followed_by_causes};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::{
    address::Address,
    answer_body::AnswerBody,
    breaker::Breaker,
    client::Client,
    metrics::UpstreamMetrics,
    replayable_body::{Continue, ReplayableBody, in_time},
    whole_answer::ReadWhole,
};
use crate::error::ForwardError;

/// The time limit of a probe of readiness. Shorter than the second that the gateway's own readiness gives each check.
const READINESS_TIMEOUT: Duration = Duration::from_millis(900);
/// The time limit for reading the metrics.
const METRICS_TIMEOUT: Duration = Duration::from_secs(2);
/// The pause between two probes of readiness.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);
/// The longest page of metrics that is read, in bytes.
const PROBE_LIMIT: usize = 8 * 1024 * 1024;

pub(super) struct Replica {
    client: Client,
    address: Address,
    ready: AtomicBool,
    ready_gauge: IntGauge,
    breaker: Breaker,
    circuit_gauge: IntGauge,
    /// Its running requests, from sending until the answer has been passed on completely.
    in_flight: IntGauge,
}

impl Replica {
    pub(super) fn new(role: &str, address: Address, client: &Client, metrics: &UpstreamMetrics) -> Self {
        let labels = [role, address.authority.as_str()];
        let replica = Self {
            client: client.clone(),
            // Assumed until the first probe.
            ready: AtomicBool::new(true),
            ready_gauge: metrics.ready.with_label_values(&labels),
            breaker: Breaker::new(),
            circuit_gauge: metrics.circuit_open.with_label_values(&labels),
            in_flight: metrics.in_flight.with_label_values(&labels),
            address,
        };
        replica.ready_gauge.set(1);
        replica
    }

    pub(super) fn address(&self) -> &str {
        self.address.authority.as_str()
    }

    pub(super) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    /// Whether its circuit lets a request through at `now`.
    pub(super) fn admits(&self, now: Instant) -> bool {
        self.breaker.admits(now)
    }

    /// The number of its running requests.
    pub(super) fn in_flight(&self) -> i64 {
        self.in_flight.get()
    }

    /// Sends it one request with these headers; `None` when its circuit has opened meanwhile.
    pub(super) async fn attempt(
        &self,
        parts: &Parts,
        headers: HeaderMap,
        body: &ReplayableBody,
    ) -> Option<Result<Response, ForwardError>> {
        let attempt = self.breaker.begin(Instant::now())?;
        let outcome = self.exchange(parts, headers, body.clone()).await;
        match &outcome {
            // An answer of any kind, even of a replica that is about to stop.
            Ok(_) => attempt.answered(),
            Err(ForwardError::Unreachable(_)) => {
                attempt.failed(Instant::now());
                self.set_ready(false);
            }
            Err(ForwardError::Lost(_) | ForwardError::TimedOut | ForwardError::BrokenOff) => {
                attempt.failed(Instant::now())
            }
            // The failure is not the replica's.
            Err(_) => drop(attempt),
        }
        self.circuit_gauge.set(i64::from(!self.breaker.is_closed()));
        Some(outcome)
    }

    /// Counts a failure: another replica answered in time what this one did not.
    pub(super) fn was_silent(&self) {
        let now = Instant::now();
        if let Some(attempt) = self.breaker.begin(now) {
            attempt.failed(now);
        }
        self.circuit_gauge.set(i64::from(!self.breaker.is_closed()));
    }

    async fn exchange(
        &self,
        parts: &Parts,
        headers: HeaderMap,
        body: ReplayableBody,
    ) -> Result<Response, ForwardError> {
        let mut request = Request::new(body.clone());
        if headers.contains_key(header::EXPECT) {
            let awaited = Arc::new(Continue::default());
            request = request.map(|body| body.once_asked_for(Arc::clone(&awaited)));
            hyper::ext::on_informational(&mut request, move |response| {
                if response.status() == StatusCode::CONTINUE {
                    awaited.open();
                }
            });
        }
        *request.method_mut() = parts.method.clone();
        *request.uri_mut() = self.uri(parts.uri.path_and_query())?;
        *request.headers_mut() = headers;
        request.headers_mut().remove(header::HOST);
        let counted = Counted::in_gauge(&self.in_flight);
        match in_time(&body, self.client.request(request)).await? {
            Ok(response) => {
                let response =
                    response.map(|body| Body::new(GuardedBody::new(AnswerBody::new(body), counted)));
                match parts.extensions.get::<ReadWhole>() {
                    Some(whole) => whole.read(response).await,
                    None => Ok(response),
                }
            }
            Err(error) => Err(match body.failure() {
                Some(failure) => failure,
                None if error.is_connect() => ForwardError::Unreachable(error),
                None => ForwardError::Lost(error),
            }),
        }
    }

    /// Probes its readiness once a second, until `stop` is cancelled.
    pub(super) async fn watch(&self, stop: CancellationToken) {
        let mut rounds = Rounds::every(WATCH_INTERVAL, stop);
        while rounds.next().await {
            self.look().await;
        }
    }

    async fn look(&self) {
        let ready = self.ready().await.is_ok();
        if self.set_ready(ready) {
            tracing::info!(upstream.address = %self.address.authority, upstream.ready = ready, "a replica changed");
            if ready {
                // It was away: earlier failures do not count.
                self.breaker.reset();
                self.circuit_gauge.set(0);
            }
        }
    }

    /// Returns whether the readiness has changed.
    fn set_ready(&self, ready: bool) -> bool {
        self.ready_gauge.set(i64::from(ready));
        self.ready.swap(ready, Ordering::Relaxed) != ready
    }

    /// Whether it is ready, or why not.
    pub(super) async fn ready(&self) -> Result<(), String> {
        self.probe("/health/ready", READINESS_TIMEOUT).await.map(drop)
    }

    pub(super) async fn metrics(&self) -> Result<String, String> {
        self.probe("/metrics", METRICS_TIMEOUT).await
    }

    /// Its answer to a GET of `path`, or an error.
    async fn probe(&self, path: &'static str, limit: Duration) -> Result<String, String> {
        let probe = async {
            let mut request = Request::new(ReplayableBody::new(Body::empty()));
            *request.uri_mut() =
                self.uri(Some(&PathAndQuery::from_static(path))).map_err(|error| error.to_string())?;
            let response = self.client.request(request).await.map_err(|error| match error.is_connect() {
                true if self.address.scheme == Scheme::HTTPS => followed_by_causes("cannot connect", &error),
                true => "cannot connect".to_owned(),
                false => "the connection broke".to_owned(),
            })?;
            read_probe(response.map(Body::new)).await
        };
        timeout(limit, probe)
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {} s", limit.as_secs_f64())))
    }

    fn uri(&self, path: Option<&PathAndQuery>) -> Result<Uri, http::Error> {
        let Address { scheme, authority, prefix } = &self.address;
        let builder = Uri::builder().scheme(scheme.clone()).authority(authority.clone());
        match path {
            Some(path) if prefix.is_empty() => builder.path_and_query(path.clone()).build(),
            path => {
                let path = path.map_or("/", PathAndQuery::as_str);
                builder.path_and_query(format!("{prefix}{path}")).build()
            }
        }
    }
}

/// The text of a successful answer; otherwise its reason.
pub(super) async fn read_probe(response: Response) -> Result<String, String> {
    let status = response.status();
    let bytes = axum::body::to_bytes(response.into_body(), PROBE_LIMIT)
        .await
        .map_err(|_| "the answer broke off".to_owned())?;
    let text = String::from_utf8(bytes.into()).map_err(|_| "the answer is not text".to_owned())?;
    if status.is_success() { Ok(text) } else { Err(reason(status.as_u16(), &text)) }
}

/// The names of the failed checks in an answer of `/health/ready`.
fn reason(status: u16, text: &str) -> String {
    let answer: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    let failed: Vec<_> = answer["checks"]
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, outcome)| *outcome != "ok")
        .map(|(name, _)| name.as_str())
        .collect();
    if failed.is_empty() {
        format!("it answered {status}")
    } else {
        format!("not ready: {}", failed.join(", "))
    }
}

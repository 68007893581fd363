//! Writes one line in the access log, and updates the metrics, for every request.

use std::{
    borrow::Cow,
    net::IpAddr,
    time::{Duration, Instant},
};

use api_types::ProblemCode;
use axum::{
    body::{Body, HttpBody as _},
    extract::Request,
    response::Response,
};
use events::Traceparent;
use http::{HeaderValue, Method, StatusCode, Uri, header};
use runtime::{Metrics, metrics, telemetry::ACCESS};

use crate::{
    access_notes::AccessNotes, context::shown_user_agent, logged_body::LoggedBody, route::is_probe,
    trace_context::trace_id_of,
};

/// Marks a request that another role of the same process forwards: that role writes the access log.
#[derive(Debug, Clone, Copy)]
pub struct Forwarded;

/// Seconds. Fine below 10 ms, where almost all answers should be.
const BUCKETS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The status in logs and metrics for a request that its client gave up, as proxies commonly call it.
const CLIENT_GONE: u16 = 499;
/// The most bytes of a path that are logged.
const MAX_PATH: usize = 1024;

metrics! {
    #[derive(Clone)]
    struct RequestMetrics {
        /// HTTP requests answered.
        requests: counter_vec("taskledger_http_requests_total", &["route", "method", "status"]);
        /// Time from the head of a request to the head of its answer.
        duration: histogram_vec("taskledger_http_request_duration_seconds", &["route", "method"], BUCKETS);
    }
}

/// The access log of one role.
#[derive(Clone)]
pub(crate) struct AccessLog {
    role: &'static str,
    metrics: RequestMetrics,
}

impl AccessLog {
    pub(crate) fn new(role: &'static str, metrics: &Metrics) -> Self {
        Self { role, metrics: RequestMetrics::new(metrics) }
    }

    /// Begins the line of the request with this id. Further facts go to the [`AccessNotes`] in its extensions.
    pub(crate) fn begin(
        &self,
        request: &mut Request,
        id: HeaderValue,
        traceparent: Traceparent,
        client: Option<IpAddr>,
    ) -> Entry {
        let notes = AccessNotes::default();
        request.extensions_mut().insert(notes.clone());
        Entry {
            log: self.clone(),
            started: Instant::now(),
            request_id: id,
            traceparent,
            method: request.method().clone(),
            uri: request.uri().clone(),
            client,
            user_agent: request.headers().get(header::USER_AGENT).cloned(),
            forwarded: request.extensions().get::<Forwarded>().is_some(),
            notes,
            ended: false,
        }
    }
}

/// A request that is being answered. The line is formatted only when it is written.
pub(crate) struct Entry {
    log: AccessLog,
    started: Instant,
    request_id: HeaderValue,
    traceparent: Traceparent,
    method: Method,
    uri: Uri,
    client: Option<IpAddr>,
    user_agent: Option<HeaderValue>,
    forwarded: bool,
    notes: AccessNotes,
    ended: bool,
}

impl Entry {
    /// The request was answered. The line is written when the client has taken the answer or has gone.
    pub(crate) fn end(mut self, response: Response) -> Response {
        self.ended = true;
        let answer = Answer::of(&response, self.notes.take_route(), self.started.elapsed());
        self.count(&answer);
        // The answer to such a request has no body.
        let has_body = self.method != Method::HEAD && !response.body().is_end_stream();
        response.map(|body| {
            let log = move |bytes, is_whole| self.log(&answer, bytes, is_whole || !has_body);
            Body::new(LoggedBody::new(body, log))
        })
    }

    fn count(&self, answer: &Answer) {
        let (route, method) = (answer.route(), known_method(&self.method));
        let metrics = &self.log.metrics;
        metrics.requests.with_label_values(&[route, method, &answer.status.to_string()]).inc();
        metrics.duration.with_label_values(&[route, method]).observe(answer.head_after.as_secs_f64());
    }

    fn log(&self, answer: &Answer, bytes: u64, is_whole: bool) {
        let noted = self.notes.taken();
        let (route, status) = (answer.route(), answer.status);
        macro_rules! log {
            ($level:ident) => {
                tracing::$level!(
                    target: ACCESS,
                    parent: None,
                    role = self.log.role,
                    request.id = self.request_id.to_str().ok(),
                    trace.id = trace_id_of(&self.traceparent),
                    client.ip = self.client.map(|address| address.to_string()),
                    user.id = noted.user.map(|user| user.to_string()),
                    http.method = known_method(&self.method),
                    http.route = route,
                    http.status = status,
                    // The query is never logged: it contains what people search for.
                    url.path = shortened(self.uri.path()),
                    user_agent = self.user_agent.as_ref().map(shown_user_agent).as_deref(),
                    problem.code = answer.problem,
                    cache.status = noted.cache,
                    limit.decision = noted.limit,
                    limit.name = noted.limit_name,
                    upstream.duration_ms = noted.upstream.map(milliseconds),
                    answer.bytes = bytes,
                    answer.cut_off = (!is_whole).then_some(true),
                    answer.head_after_ms = milliseconds(answer.head_after),
                    duration_ms = milliseconds(self.started.elapsed()),
                    "request"
                )
            };
        }
        if self.forwarded || is_probe(route) && status != StatusCode::SERVICE_UNAVAILABLE.as_u16() {
            log!(debug)
        } else if status >= 500 {
            log!(warn)
        } else {
            log!(info)
        }
    }
}

impl Drop for Entry {
    /// The client did not wait for the answer, or the server was stopped.
    fn drop(&mut self) {
        if !self.ended {
            let answer = Answer::none(self.started.elapsed());
            self.count(&answer);
            self.log(&answer, 0, true);
        }
    }
}

/// The logged parts of an answer's head.
struct Answer {
    status: u16,
    route: Option<Cow<'static, str>>,
    problem: Option<&'static str>,
    head_after: Duration,
}

impl Answer {
    fn of(response: &Response, route: Option<Cow<'static, str>>, head_after: Duration) -> Self {
        let problem = response.extensions().get::<ProblemCode>();
        Self {
            status: response.status().as_u16(),
            route,
            problem: problem.map(|code| code.as_str()),
            head_after,
        }
    }

    /// For a client that was not there to take an answer.
    fn none(after: Duration) -> Self {
        Self { status: CLIENT_GONE, route: None, problem: None, head_after: after }
    }

    fn route(&self) -> &str {
        self.route.as_deref().unwrap_or("unmatched")
    }
}

/// Milliseconds, rounded to three decimal places.
fn milliseconds(time: Duration) -> f64 {
    let micros = u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
    f64::from(micros) / 1_000.0
}

/// The beginning of a path, which is ASCII. Paths can be longer than is useful in a log.
fn shortened(path: &str) -> &str {
    path.get(..MAX_PATH).unwrap_or(path)
}

/// Clients can invent methods, but the values of a label must be few.
fn known_method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "OTHER",
    }
}

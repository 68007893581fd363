//! Turns a role's bare router into a served one: everything that the contract (`docs/api.md`) promises for every
//! answer is done here.

use std::{any::Any, panic::AssertUnwindSafe};

use api_types::{Liveness, LivenessStatus, ProblemCode};
use axum::{
    Extension, Json, Router,
    extract::Request,
    response::{IntoResponse, Response},
    routing::get,
};
use futures::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use http_server::{HttpService, OverTls, Refusal, RequestLoad};
use runtime::{Metrics, encode_process_metrics};
use tower::{Service as _, util::MapRequestLayer};
use tracing::Instrument;

use crate::{
    access_log::{AccessLog, Forwarded},
    context::RequestContext,
    headers::X_REQUEST_ID,
    health::{Health, Leaving, Readiness},
    listener::{Listener, is_elsewhere},
    parameters::refuse_parameters,
    path,
    problem::Problem,
    rate_limit_fields::{RATE_LIMIT, RATE_LIMIT_POLICY},
    request_id,
    route::{METRICS, STARTUP, note_route},
    security_log,
    trace_context::{self, parent_id_of, trace_id_of},
};

const SECURITY_HEADERS: [(HeaderName, HeaderValue); 5] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
    ),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
];

/// For a year, clients use only TLS for this host and its subdomains (RFC 6797).
const STRICT_TRANSPORT_SECURITY: HeaderValue =
    HeaderValue::from_static("max-age=31536000; includeSubDomains");

/// Adds request ids, trace context, security headers, access log, HTTP metrics, problems for unknown paths and
/// wrong methods, `500` for panics, probes and `/metrics`.
pub fn with_middleware(router: Router, role: &'static str, metrics: &Metrics, health: Health) -> HttpService {
    let own = metrics.clone();
    let routes = with_probes(router, health, move |asker| {
        let mut page = own.encode();
        if asker == Asker::Outside {
            page.push_str(&encode_process_metrics(role));
        }
        std::future::ready(page)
    });
    let edge = Edge::new(role, metrics);
    HttpService::new(move |request| {
        let (edge, mut routes) = (edge.clone(), routes.clone());
        async move {
            // Around the whole router, not each route: `Allow` and the answer to HEAD are complete only out here.
            let answer = |request: Request| async move {
                if is_elsewhere(&request) {
                    return Problem::no_such_path().into_response();
                }
                let Ok(response) = routes.call(request).await;
                response
            };
            edge.answer(request, answer).await
        }
    })
}

/// Adds probes and `/metrics` to a router, and notes the route of each request for the access log. `page` makes the
/// text of `/metrics`.
pub fn with_probes<F, Fut>(router: Router, health: Health, page: F) -> Router
where
    F: Fn(Asker) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = String> + Send,
{
    let starting = health.clone();
    let probes = Router::new()
        .route("/health/live", get(live))
        .route(
            "/health/ready",
            get(|listener: Option<Extension<Listener>>, leaving: Option<Extension<Leaving>>| async move {
                let is_public = matches!(listener, Some(Extension(Listener::Public)));
                let readiness = match (leaving, is_public) {
                    (Some(_), _) => Readiness::leaving(),
                    (None, true) => health.recently_ready().await,
                    (None, false) => health.ready().await,
                };
                match is_public {
                    true => readiness.without_reasons(),
                    false => readiness.into_response(),
                }
            }),
        )
        .route(STARTUP, get(|| async move { starting.started().await.into_response() }))
        .route(
            METRICS,
            get(|forwarded: Option<Extension<Forwarded>>| async move {
                let asker = match forwarded {
                    Some(_) => Asker::SameProcess,
                    None => Asker::Outside,
                };
                prometheus_text(page(asker).await)
            }),
        );
    router
        .merge(refuse_parameters(probes))
        .layer(MapRequestLayer::new(note_route))
        // Otherwise each request would build the routes from their handlers.
        .with_state::<()>(())
}

/// The client that reads the metrics of a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asker {
    /// Another process. It also gets the metrics of this process.
    Outside,
    /// Another role of this process, which shows the metrics of the process itself.
    SameProcess,
}

async fn live() -> Response {
    let status = LivenessStatus::Live;
    ([(header::CACHE_CONTROL, "no-store")], Json(Liveness { status })).into_response()
}

/// An answer with Prometheus text.
fn prometheus_text(text: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, text).into_response()
}

/// What a role does for every request and answer.
#[derive(Clone)]
pub struct Edge(AccessLog);

impl Edge {
    /// The edge of this role.
    pub fn new(role: &'static str, metrics: &Metrics) -> Self {
        Self(AccessLog::new(role, metrics))
    }

    /// Answers a request with `next`: adds request id, trace context, security headers, access log and HTTP metrics,
    /// and turns panics and errors without a body into problems. `next` refuses paths that are elsewhere
    /// ([`is_elsewhere`]).
    pub async fn answer<Answering>(
        &self,
        mut request: Request,
        next: impl FnOnce(Request) -> Answering,
    ) -> Response
    where
        Answering: Future<Output = Response>,
    {
        let (id, id_header) = request_id::of_request(request.headers());
        let traceparent = trace_context::continue_or_begin(request.headers_mut());
        let span = tracing::info_span!(
            "request",
            request.id = id,
            trace.id = trace_id_of(&traceparent),
            trace.parent = parent_id_of(&traceparent)
        );
        if let Some(uri) = path::normalized(request.uri()) {
            *request.uri_mut() = uri;
        }
        request.headers_mut().insert(&X_REQUEST_ID, id_header.clone());

        let client = RequestContext::client(request.headers(), request.extensions());
        let entry = self.0.begin(&mut request, id_header.clone(), traceparent.clone(), client);
        let refused = request.extensions_mut().remove::<Refusal>();
        let load = request.extensions().get::<RequestLoad>().cloned();
        let is_read = request.method().is_safe();
        let listener = Listener::of(request.extensions());
        let is_over_tls = request.extensions().get::<OverTls>().is_some();
        // Boxed, because each of those that surround it would move it.
        let answering = Box::pin(async {
            if let Some(refusal) = refused {
                return entry.end(refused_problem(refusal).into_response());
            }
            let response = match AssertUnwindSafe(next(request)).catch_unwind().await {
                Ok(response) => as_problem(response),
                Err(panic) => {
                    tracing::error!(panic = panic_message(panic.as_ref()), "a handler panicked");
                    Problem::internal().into_response()
                }
            };
            if load.is_none_or(|load| load.admits(&response, !is_read)) {
                entry.end(response)
            } else {
                let mut problem = refused_problem(Refusal::Overloaded).into_response();
                keep_limits(response.headers(), problem.headers_mut());
                entry.end(problem)
            }
        });
        let answering = security_log::CLIENT.scope(client, answering.instrument(span));
        let answering = request_id::CURRENT.scope(id, answering);
        let mut response = trace_context::CURRENT.scope(traceparent, answering).await;

        let is_not_modified = response.status() == StatusCode::NOT_MODIFIED;
        let headers = response.headers_mut();
        // The router measures the body, which is not the one of the `200` (RFC 9110, section 8.6).
        if is_not_modified {
            headers.remove(header::CONTENT_LENGTH);
        }
        headers.reserve(2 + SECURITY_HEADERS.len());
        headers.insert(X_REQUEST_ID.clone(), id_header);
        // Only the public address sends it: what a role sends to the gateway also reaches clients.
        if is_over_tls && listener == Some(Listener::Public) {
            headers.insert(header::STRICT_TRANSPORT_SECURITY, STRICT_TRANSPORT_SECURITY);
        }
        for (name, value) in SECURITY_HEADERS {
            headers.entry(name).or_insert(value);
        }
        response
    }
}

/// The answer to a request that the server refused before reading all of it.
fn refused_problem(refusal: Refusal) -> Problem {
    let code = match refusal {
        Refusal::TimedOut => return Problem::request_timeout(),
        Refusal::Overloaded => return Problem::overloaded(refusal.to_string()),
        Refusal::Malformed(_) | Refusal::NotEncrypted => ProblemCode::BadRequest,
        Refusal::TargetTooLong => ProblemCode::UriTooLong,
        Refusal::TooLarge => ProblemCode::HeadersTooLarge,
        Refusal::UnknownCoding => ProblemCode::UnknownTransferCoding,
    };
    Problem::new(code).detail(refusal.to_string())
}

/// Turns errors that the router and library extractors answer as plain text, or without a body, into problems.
fn as_problem(response: Response) -> Response {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let spelled_out = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|media_type| !media_type.as_bytes().starts_with(b"text/plain"));
    if spelled_out {
        return response;
    }
    let mut problem = Problem::of_status(status).into_response();
    keep_limits(response.headers(), problem.headers_mut());
    if let Some(allow) = allowed(response.headers()) {
        problem.headers_mut().insert(header::ALLOW, allow);
    }
    problem.extensions_mut().extend(response.extensions().clone());
    problem
}

/// Keeps what an answer says about limits, and when to try again, in the problem that takes its place.
fn keep_limits(answer: &HeaderMap, problem: &mut HeaderMap) {
    for name in [header::RETRY_AFTER, RATE_LIMIT_POLICY.clone(), RATE_LIMIT.clone()] {
        if let Some(value) = answer.get(&name) {
            problem.insert(name, value.clone());
        }
    }
}

/// `Allow` with commas and spaces.
fn allowed(headers: &HeaderMap) -> Option<HeaderValue> {
    let methods = headers.get(header::ALLOW)?.to_str().ok()?;
    let mut methods: Vec<_> = methods.split(',').map(str::trim).filter(|method| !method.is_empty()).collect();
    methods.sort_unstable();
    HeaderValue::from_str(&methods.join(", ")).ok()
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

//! One line in the log and a few numbers for every request.

use std::time::Instant;

use api_types::ProblemCode;
use axum::{extract::Request, response::Response};
use http::{Method, StatusCode};
use prometheus::{HistogramVec, IntCounterVec};
use runtime::Metrics;

use crate::{
    context::{RequestContext, UserAgent},
    route::{Route, is_probe},
};

/// Marks a request that another role in the same process forwards: that one writes the access log.
#[derive(Debug, Clone, Copy)]
pub struct Forwarded;

/// Seconds. Fine below 10 ms, where almost all answers should be.
const BUCKETS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// In logs and metrics only: what proxies commonly call a request that its client gave up.
const CLIENT_GONE: u16 = 499;

/// The access log of one role.
#[derive(Clone)]
pub(crate) struct AccessLog {
    role: &'static str,
    requests: IntCounterVec,
    duration: HistogramVec,
}

impl AccessLog {
    pub(crate) fn new(role: &'static str, metrics: &Metrics) -> Self {
        Self {
            role,
            requests: metrics.counter_vec(
                "taskledger_http_requests_total",
                "HTTP requests answered.",
                &["route", "method", "status"],
            ),
            duration: metrics.histogram_vec(
                "taskledger_http_request_duration_seconds",
                "Time from the head of a request to the head of its answer.",
                &["route", "method"],
                BUCKETS,
            ),
        }
    }

    /// A request has arrived.
    pub(crate) fn begin(&self, request: &Request) -> Entry {
        Entry {
            log: self.clone(),
            started: Instant::now(),
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            client_ip: RequestContext::client_ip(request.headers(), request.extensions()),
            user_agent: RequestContext::user_agent(request.headers()),
            forwarded: request.extensions().get::<Forwarded>().is_some(),
            ended: false,
        }
    }
}

/// A request being answered. Never its query: that holds what people search for.
pub(crate) struct Entry {
    log: AccessLog,
    started: Instant,
    method: Method,
    path: String,
    client_ip: Option<String>,
    user_agent: Option<UserAgent>,
    forwarded: bool,
    ended: bool,
}

impl Entry {
    /// It has been answered.
    pub(crate) fn end(mut self, response: &Response) {
        self.ended = true;
        let route = response.extensions().get::<Route>();
        let problem = response
            .extensions()
            .get::<ProblemCode>()
            .map(|code| code.as_str());
        self.record(
            response.status().as_u16(),
            route.map_or("unmatched", |route| route.0.as_str()),
            problem,
        );
    }

    fn record(&self, status: u16, route: &str, problem: Option<&str>) {
        let took = self.started.elapsed();
        let method = known_method(&self.method);
        self.log
            .requests
            .with_label_values(&[route, method, &status.to_string()])
            .inc();
        self.log
            .duration
            .with_label_values(&[route, method])
            .observe(took.as_secs_f64());
        let took_us = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
        macro_rules! log {
            ($level:ident) => {
                tracing::$level!(
                    role = self.log.role,
                    http.method = method,
                    http.route = route,
                    http.status = status,
                    url.path = self.path,
                    client.ip = self.client_ip,
                    user_agent = self.user_agent.as_deref(),
                    problem.code = problem,
                    duration_ms = f64::from(took_us) / 1_000.0,
                    "request"
                )
            };
        }
        if self.forwarded || is_probe(route) && status != StatusCode::SERVICE_UNAVAILABLE.as_u16() {
            log!(debug)
        } else {
            log!(info)
        }
    }
}

impl Drop for Entry {
    /// The client did not wait for the answer, or the server was cut off.
    fn drop(&mut self) {
        if !self.ended {
            self.record(CLIENT_GONE, "unmatched", None);
        }
    }
}

/// Clients can make methods up; label values must stay few.
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

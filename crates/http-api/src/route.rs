//! The route that answered a request, for the access log, and which routes are probes.

use axum::{
    extract::{MatchedPath, Request},
    middleware::Next,
    response::Response,
};

/// Where the metrics are.
pub(crate) const METRICS: &str = "/metrics";

/// Where it says whether the process has started.
pub(crate) const STARTUP: &str = "/health/startup";

/// The route that answered, kept beside the answer.
#[derive(Clone)]
pub(crate) struct Route(pub(crate) MatchedPath);

/// Keeps the route of a request beside its answer.
pub(crate) async fn note_route(path: Option<MatchedPath>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if let Some(path) = path {
        response.extensions_mut().insert(Route(path));
    }
    response
}

/// Probes come every few seconds and say nothing as long as all is well.
pub(crate) fn is_probe(route: &str) -> bool {
    matches!(route, "/health/live" | "/health/ready" | STARTUP | METRICS)
}

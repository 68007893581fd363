//! The route that answered a request, for the access log, and which routes are probes.

use axum::extract::{MatchedPath, Request};

use crate::access_notes::AccessNotes;

/// Where the metrics are.
pub(crate) const METRICS: &str = "/metrics";

/// Where it says whether the process has started.
pub(crate) const STARTUP: &str = "/health/startup";

/// Notes the route that answers a request.
pub(crate) fn note_route(request: Request) -> Request {
    if let Some(path) = request.extensions().get::<MatchedPath>() {
        AccessNotes::of(request.extensions()).route(path.clone());
    }
    request
}

/// Probes come every few seconds and say nothing as long as all is well.
pub(crate) fn is_probe(route: &str) -> bool {
    matches!(route, "/health/live" | "/health/ready" | STARTUP | METRICS)
}

//! The route that answered a request, for the access log, and which routes are probes.

use axum::extract::{MatchedPath, Request};

use crate::access_notes::AccessNotes;

/// The path of the metrics.
pub(crate) const METRICS: &str = "/metrics";

/// The path of the startup probe.
pub(crate) const STARTUP: &str = "/health/startup";

/// Records the route that answers a request.
pub(crate) fn note_route(request: Request) -> Request {
    if let Some(path) = request.extensions().get::<MatchedPath>() {
        AccessNotes::of(request.extensions()).route(path.as_str().to_owned());
    }
    request
}

/// Whether the route is a probe. Probes come every few seconds, and are logged only when they fail.
pub(crate) fn is_probe(route: &str) -> bool {
    matches!(route, "/health/live" | "/health/ready" | STARTUP | METRICS)
}

//! Decides which requests may be sent again when their answer was lost: those that may safely be done twice.

use axum::body::{Body, HttpBody as _};
use http::{HeaderName, header, request::Parts};
use http_api::IDEMPOTENCY_KEY;

/// The role that runs a command with an `Idempotency-Key` once.
pub(crate) const COMMAND_API: &str = "command-api";

/// Headers with conditions on the state of the target.
static CONDITIONS: [HeaderName; 3] = [header::IF_MATCH, header::IF_NONE_MATCH, header::IF_UNMODIFIED_SINCE];

/// Whether doing it twice has the same effect as once, even if others act in between.
pub(super) fn is_repeatable(role: &str, parts: &Parts, body: &Body) -> bool {
    let headers = &parts.headers;
    let has_key = role == COMMAND_API && headers.contains_key(&IDEMPOTENCY_KEY);
    // The first request may have changed the state that the second one would be compared with.
    let is_conditional = CONDITIONS.iter().any(|name| headers.contains_key(name));
    let has_body = body.size_hint().exact() != Some(0);
    has_key || parts.method.is_safe() || (parts.method.is_idempotent() && !has_body && !is_conditional)
}

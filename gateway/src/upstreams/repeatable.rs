//! Which requests may be sent again when their answer got lost: only those of which it does no harm to be done twice.

use axum::body::{Body, HttpBody as _};
use http::{HeaderName, header, request::Parts};
use http_api::IDEMPOTENCY_KEY;

/// The role that does a command once for its `Idempotency-Key`.
pub(crate) const COMMAND_API: &str = "command-api";

/// Conditions on the state of what a request is about.
const CONDITIONS: [HeaderName; 3] = [
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_UNMODIFIED_SINCE,
];

/// Whether being done twice is the same as being done once, also when others act in between as far as can be told.
pub(super) fn is_repeatable(role: &str, parts: &Parts, body: &Body) -> bool {
    let headers = &parts.headers;
    let has_key = role == COMMAND_API && headers.contains_key(&IDEMPOTENCY_KEY);
    // The first time may have changed what the second time would be held against.
    let is_conditional = CONDITIONS.iter().any(|name| headers.contains_key(name));
    let has_body = body.size_hint().exact() != Some(0);
    has_key || parts.method.is_safe() || (parts.method.is_idempotent() && !has_body && !is_conditional)
}

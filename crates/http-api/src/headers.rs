//! The names of the headers that the API adds to those of HTTP.

use http::HeaderName;

/// `Consistency-Token`: the state of the projection that an answer shows, or that a query wants to see.
pub static CONSISTENCY_TOKEN: HeaderName = HeaderName::from_static("consistency-token");
/// `Idempotency-Key`: names a command, so that sending it again does not repeat it.
pub static IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// `X-Request-Id`
pub static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// `X-Forwarded-For`: the client's address, as the gateway sets it.
pub static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// `traceparent` (W3C Trace Context)
pub static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

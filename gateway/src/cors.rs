//! CORS of the Fetch standard: lets pages of the origins in the policy use the API from browsers. A page of any other
//! origin gets no header, and its browser does not show it the answer. This does not protect the API itself: other
//! clients can send any request.

use axum::{
    extract::Request,
    response::{IntoResponse, Response},
};
use http::{HeaderName, HeaderValue, Method, StatusCode, header};

use crate::policy::{Origins, Policies};

/// Every method of the API. The roles refuse methods that a path does not have.
const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE";
/// The request headers that pages may send, besides those that browsers always allow.
const REQUEST_HEADERS: &str = "Accept, Authorization, Cache-Control, Consistency-Token, Content-Type, Idempotency-Key, If-Match, \
                               If-None-Match, Last-Event-ID, Prefer, traceparent, tracestate, X-Request-Id";
/// The response headers that pages may read, besides those that browsers always allow.
const RESPONSE_HEADERS: &str = "Accept-Patch, Accept-Post, Allow, Cache-Status, Consistency-Token, ETag, Erasure-Receipt, Idempotency-Replayed, Link, Location, \
                                Preference-Applied, RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate, \
                                X-Request-Id";
/// For how many seconds a browser may cache the answer. Chromium allows at most two hours, and a change of the policy
/// should take effect soon.
const MAX_AGE: &str = "600";

/// Adds the CORS headers to every answer, including those that the gateway itself gives.
pub(crate) async fn mark<Answering>(
    origins: &Origins,
    request: Request,
    answer: impl FnOnce(Request) -> Answering,
) -> Response
where
    Answering: Future<Output = Response>,
{
    let allowed = origins.of(request.headers()).cloned();
    let mut response = answer(request).await;
    let headers = response.headers_mut();
    if !origins.is_empty() {
        // Caches must not give the answer to a page of another origin.
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
    }
    if let Some(origin) = allowed {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        let exposed = HeaderValue::from_static(RESPONSE_HEADERS);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    }
    response
}

/// Answers preflight requests for all roles. A request from another origin, or one that is not a preflight, continues
/// as usual.
pub(crate) fn answer_to_preflight(policies: &Policies, request: &Request) -> Option<Response> {
    let headers = request.headers();
    let is_preflight = *request.method() == Method::OPTIONS
        && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
        && policies.current().origins.of(headers).is_some();
    if !is_preflight {
        return None;
    }
    let text = |name: HeaderName, text: &'static str| (name, HeaderValue::from_static(text));
    let headers = [
        text(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS),
        text(header::ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS),
        text(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE),
        text(header::VARY, "Access-Control-Request-Method, Access-Control-Request-Headers"),
    ];
    Some((StatusCode::NO_CONTENT, headers).into_response())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use api_types::openapi;

    use super::*;

    fn names(list: &str) -> BTreeSet<String> {
        list.split(", ").map(str::to_ascii_lowercase).collect()
    }

    /// The names of the headers in the contract, of requests or of answers.
    fn in_contract(of_answers: bool) -> BTreeSet<String> {
        let document: serde_json::Value = serde_json::from_str(&openapi::text()).unwrap();
        let mut found = BTreeSet::new();
        let mut look = vec![&document];
        while let Some(value) = look.pop() {
            match value {
                serde_json::Value::Object(members) => {
                    if !of_answers && value["in"] == "header" {
                        found.insert(value["name"].as_str().unwrap().to_ascii_lowercase());
                    }
                    if of_answers && let Some(headers) = value["headers"].as_object() {
                        // A dot ends the name of a header that is described in two ways.
                        let names = headers.keys().map(|key| key.split('.').next().unwrap());
                        found.extend(names.map(str::to_ascii_lowercase));
                    }
                    look.extend(members.values());
                }
                serde_json::Value::Array(members) => look.extend(members),
                _ => {}
            }
        }
        assert!(found.len() > 3, "{found:?}");
        found
    }

    #[test]
    fn pages_may_send_and_read_every_header_of_the_contract_and_use_every_method() {
        let missing = &in_contract(false) - &names(REQUEST_HEADERS);
        assert!(missing.is_empty(), "{missing:?}");
        let missing = &in_contract(true) - &names(RESPONSE_HEADERS);
        assert!(missing.is_empty(), "{missing:?}");
        let methods: BTreeSet<String> =
            openapi::operations().into_iter().map(|(method, _)| method.to_ascii_lowercase()).collect();
        assert!(methods.is_subset(&names(METHODS)), "{methods:?}");
    }
}

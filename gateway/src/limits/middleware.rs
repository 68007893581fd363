//! Lets a request through to its route, or refuses it.

use axum::{
    body::Body,
    extract::Request,
    response::{IntoResponse, Response},
};
use http_api::{AccessNotes, ClientAddress, GuardedBody, Problem, RATE_LIMIT};
use http_server::RequestLoad;

use super::{admission::admit, budgets::Limiter, fields, limit::Limit};

/// Counts a request in every limit that it falls under, and refuses it when one has no room.
pub(crate) async fn limit(
    limiter: &Limiter,
    path: Option<&str>,
    request: Request,
    answer: impl AsyncFnOnce(Request) -> Response,
) -> Response {
    let policy = limiter.policies().current();
    let method = request.method().clone();
    let limits: Vec<&Limit> = policy.limits.of(&method, path).collect();
    let admitted = match admit(limiter, &limits, policy.in_flight_per_caller, request).await {
        Ok(admitted) => admitted,
        Err(problem) => return problem.into_response(),
    };
    // It is at work until its answer has been taken.
    let response = answer(admitted.request).await;
    let mut response = response.map(|body| Body::new(GuardedBody::new(body, admitted.at_work)));
    // A role's own refusal says whatever that role counts.
    if !response.headers().contains_key(&RATE_LIMIT) {
        fields::tell(response.headers_mut(), &admitted.standings);
    }
    response
}

/// Gives a probe at the public address one of the places of requests without a token, or refuses it. No budget counts
/// it. Probes of this machine and of the trusted proxies take none: they decide whether requests come here, so
/// strangers who take all those places must not have them fail.
pub(crate) fn admit_probe(limiter: &Limiter, request: &Request) -> Result<(), Problem> {
    let policy = limiter.policies().current();
    let client = request.extensions().get::<ClientAddress>();
    let is_expected =
        client.is_some_and(|client| client.0.is_loopback() || policy.trusted_proxies.include(client.0));
    match request.extensions().get::<RequestLoad>() {
        Some(load) if !is_expected => limiter.begin_anonymous(&AccessNotes::of(request.extensions()), load),
        _ => Ok(()),
    }
}

//! Lets a request through to its route, or refuses it.

use axum::{
    body::Body,
    extract::Request,
    response::{IntoResponse, Response},
};
use http_api::{GuardedBody, RATE_LIMIT};
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

/// Counts a probe at the public address among the requests without a token, as long as they have room. After that it
/// takes no place at all and is answered nevertheless: probes decide whether requests come here, so that neither those
/// who take all these places may have them fail, nor those who send many probes take the places of others.
pub(crate) fn count_probe(request: &Request) {
    if let Some(load) = request.extensions().get::<RequestLoad>() {
        let _ = load.count_as_anonymous();
    }
}

//! The conditions of requests for what has no entity tag (RFC 9110, section 13): only `*` matches it.
//!
//! They count only where the request would succeed without them (section 13.2.1). Whether a read does is known from
//! its answer. A write must not begin, so it is refused where its body is read, when everything else was checked.

use std::convert::Infallible;

use axum::{
    body::Body,
    extract::{FromRequestParts, Request},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{Extensions, StatusCode, header, request::Parts};

use crate::{
    consistency::PREFERENCE_APPLIED,
    etag::{Preconditions, ReadOutcome, outcome_of_untagged_read},
    headers::CONSISTENCY_TOKEN,
    problem::Problem,
};

/// A condition of a write that does not hold, or that is malformed.
#[derive(Debug, Clone)]
struct FailedCondition(Problem);

/// A layer that checks the conditions of requests for what has no entity tag.
pub async fn check_untagged_conditions(mut request: Request, next: Next) -> Response {
    if request.method().is_safe() {
        let outcome = outcome_of_untagged_read(request.headers());
        let answer = next.run(request).await;
        return match answer.status().is_success() {
            true => as_outcome(answer, outcome),
            false => answer,
        };
    }
    let checked =
        Preconditions::of(request.headers()).and_then(|conditions| conditions.check_without_version(true));
    if let Err(problem) = checked {
        request.extensions_mut().insert(FailedCondition(problem));
    }
    next.run(request).await
}

/// The `answer` to a read that would succeed, as the conditions want it.
fn as_outcome(answer: Response, outcome: Result<ReadOutcome, Problem>) -> Response {
    match outcome {
        Ok(ReadOutcome::Show) => answer,
        Ok(ReadOutcome::NotModified) => {
            let (mut parts, _) = answer.into_parts();
            parts.status = StatusCode::NOT_MODIFIED;
            parts.headers.remove(header::CONTENT_TYPE);
            parts.headers.remove(header::CONTENT_LENGTH);
            Response::from_parts(parts, Body::empty())
        }
        Ok(ReadOutcome::Mismatch) => {
            let mut refused = Problem::untagged_mismatch().into_response();
            for name in [CONSISTENCY_TOKEN.clone(), PREFERENCE_APPLIED] {
                if let Some(value) = answer.headers().get(&name) {
                    refused.headers_mut().insert(name, value.clone());
                }
            }
            refused
        }
        Err(problem) => problem.into_response(),
    }
}

/// Refuses a write whose condition does not hold, unless its handler [has taken that over](TargetConditions).
pub(crate) fn refuse_failed(extensions: &Extensions) -> Result<(), Problem> {
    match extensions.get::<FailedCondition>() {
        Some(FailedCondition(problem)) => Err(problem.clone()),
        None => Ok(()),
    }
}

/// The conditions of a write on something that its path names. The handler checks that it is there before it applies
/// them, because for what is not there the answer is `404`, whatever they are.
#[derive(Debug)]
pub struct TargetConditions(Option<FailedCondition>);

impl TargetConditions {
    /// Refuses the request if `finding` finds the target and a condition does not hold. Without such a condition
    /// nothing is looked for.
    ///
    /// # Errors
    /// Those of `finding`; `412 version-mismatch` when a condition does not hold, `400 bad-parameter` when one is
    /// malformed.
    pub async fn check_on<E: From<Problem>>(
        self,
        finding: impl Future<Output = Result<(), E>>,
    ) -> Result<(), E> {
        let Some(FailedCondition(problem)) = self.0 else {
            return Ok(());
        };
        finding.await?;
        Err(problem.into())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for TargetConditions {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(parts.extensions.remove()))
    }
}

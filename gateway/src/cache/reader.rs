//! Answers a read: from the cache, with the answer to a concurrent read, or by asking the role.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::Request,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode, header};
use http_api::{ReadOutcome, outcome_of_read};
use tokio::time::Instant;

use super::{
    lookup::Lookup,
    metrics::CacheMetrics,
    single_flight::{Joined, PendingReads},
    status::{CACHE_STATUS, Status},
    store::Answers,
    stored::{Stored, Taken},
};
use crate::error::ForwardError;

/// The dependencies for answering reads.
#[derive(Clone)]
pub(crate) struct Reader {
    answers: Answers,
    flights: PendingReads,
    metrics: CacheMetrics,
}

impl Reader {
    pub(crate) fn new(answers: Answers, metrics: CacheMetrics) -> Self {
        Self { answers, flights: PendingReads::default(), metrics }
    }

    /// Answers `request`, which is `lookup`. `ask` sends a request to the role, and is called at most once.
    pub(crate) async fn read<Asking>(
        &self,
        lookup: &Lookup,
        mut request: Request,
        ask: impl FnOnce(Request) -> Asking,
    ) -> Result<Response, ForwardError>
    where
        Asking: Future<Output = Result<Response, ForwardError>>,
    {
        let conditions = match conditions(request.headers_mut()) {
            Ok(conditions) => conditions,
            Err(problem) => return Ok(problem.into_response()),
        };
        let (response, status) = self.answer(lookup, request, ask).await?;
        Ok(self.marked(conditional(response, &conditions), status))
    }

    /// Marks an answer to a read that only the role can answer.
    pub(crate) fn bypassed(&self, response: Response) -> Response {
        self.marked(response, Status::Bypassed)
    }

    async fn answer<Asking>(
        &self,
        lookup: &Lookup,
        request: Request,
        ask: impl FnOnce(Request) -> Asking,
    ) -> Result<(Response, Status), ForwardError>
    where
        Asking: Future<Output = Result<Response, ForwardError>>,
    {
        if lookup.is_refresh {
            return match self.ask(lookup, request, ask).await? {
                Asked::Stored(stored) => Ok((stored.answer(), Status::Refreshed)),
                Asked::Passed(response) => Ok((response, Status::NotStored)),
            };
        }
        if let Some(stored) = self.answers.get(lookup) {
            return Ok((stored.answer(), Status::Hit));
        }
        let lead = match self.flights.join_or_start(lookup).await {
            Joined::Shares(stored) if self.answers.suits(&stored, lookup) => {
                return Ok((stored.answer(), Status::Collapsed));
            }
            Joined::Shares(_) | Joined::Alone => None,
            Joined::Leads(lead) => Some(lead),
        };
        // Between the lookup and joining, an earlier request may have been answered.
        if let Some(stored) = self.answers.get(lookup) {
            if let Some(lead) = lead {
                lead.lands(Some(Arc::clone(&stored)));
            }
            return Ok((stored.answer(), Status::Hit));
        }
        let asked = self.ask(lookup, request, ask).await;
        if let Some(lead) = lead {
            lead.lands(match &asked {
                Ok(Asked::Stored(stored)) => Some(Arc::clone(stored)),
                Ok(Asked::Passed(_)) | Err(_) => None,
            });
        }
        Ok(match asked? {
            Asked::Stored(stored) => (stored.answer(), Status::Stored),
            Asked::Passed(response) => (response, Status::NotStored),
        })
    }

    async fn ask<Asking>(
        &self,
        lookup: &Lookup,
        request: Request,
        ask: impl FnOnce(Request) -> Asking,
    ) -> Result<Asked, ForwardError>
    where
        Asking: Future<Output = Result<Response, ForwardError>>,
    {
        let asked = Instant::now();
        let response = ask(request).await?;
        Ok(match Stored::take(lookup, asked, response).await? {
            Taken::Stored(stored) => {
                let stored = Arc::new(stored);
                self.answers.put(lookup.key.clone(), Arc::clone(&stored));
                Asked::Stored(stored)
            }
            Taken::Passed(response) => Asked::Passed(response),
        })
    }

    fn marked(&self, mut response: Response, status: Status) -> Response {
        self.metrics.count(status, &self.answers);
        response.headers_mut().insert(CACHE_STATUS, status.header());
        response.extensions_mut().insert(status);
        response
    }
}

/// The answer of the role.
enum Asked {
    Stored(Arc<Stored>),
    Passed(Response),
}

/// Removes the condition from `headers`, so that the role returns the whole answer, which other clients can get as
/// well.
///
/// # Errors
/// `400` when it is malformed.
fn conditions(headers: &mut HeaderMap) -> Result<HeaderMap, http_api::Problem> {
    let mut conditions = HeaderMap::new();
    for value in headers.get_all(header::IF_NONE_MATCH) {
        conditions.append(header::IF_NONE_MATCH, value.clone());
    }
    outcome_of_read(&conditions, &header::HeaderValue::from_static("\"\""))?;
    headers.remove(header::IF_NONE_MATCH);
    Ok(conditions)
}

/// The response, or `304` if the client has the same one.
fn conditional(response: Response, conditions: &HeaderMap) -> Response {
    let etag = response.headers().get(header::ETAG);
    let outcome = match etag {
        Some(etag) if response.status() == StatusCode::OK => outcome_of_read(conditions, etag),
        _ => return response,
    };
    if !matches!(outcome, Ok(ReadOutcome::NotModified)) {
        return response;
    }
    let (mut parts, _) = response.into_parts();
    parts.status = StatusCode::NOT_MODIFIED;
    parts.headers.remove(header::CONTENT_TYPE);
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::empty())
}

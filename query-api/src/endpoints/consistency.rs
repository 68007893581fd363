//! Reading one's own writes: a request with a `Consistency-Token` waits until the read models have that state, for at
//! most the time of `Prefer: wait`. Every answer has a token.

use axum::response::{IntoResponse, Response};
use events::{ConsistencyToken, UserId};
use http::{HeaderMap, header};
use http_api::{AtLeast, PRIVATE};
use read_models::Reached;

use crate::{app_state::AppState, error::ApiError};

/// The state that a response includes.
#[derive(Debug)]
pub(crate) struct Shown {
    position: u64,
    headers: HeaderMap,
}

/// Waits for the states that a request of `caller` asks for, in a place for waiting.
///
/// # Errors
/// When it is not there in time, or too many wait already, or while the read models are filled for the first time.
pub(crate) async fn reached(state: &AppState, caller: UserId, at_least: &AtLeast) -> Result<Shown, ApiError> {
    if !at_least.tokens.is_empty() {
        let timer = state.metrics.wait_seconds.start_timer();
        let reached = wait(state, caller, at_least).await;
        timer.observe_duration();
        reached?;
    }
    if let Some(percent) = state.projection.catching_up(caller) {
        return Err(AtLeast::catching_up(percent).into());
    }
    // Read before any row is, so that the rows include at least this state.
    let token = state.projection.state_of(caller);
    Ok(Shown { position: token.position, headers: at_least.shown(token) })
}

async fn wait(state: &AppState, caller: UserId, at_least: &AtLeast) -> Result<(), ApiError> {
    let shows = |token: &ConsistencyToken| state.projection.shows(*token);
    if at_least.tokens.iter().all(shows) {
        return Ok(());
    }
    let _place = state.admission.await_projection(caller)?;
    // A lenient request gets the present state, and its token.
    let waited = state.projection.reach_all(&at_least.tokens, at_least.wait(), at_least.is_lenient).await?;
    state.metrics.lost.inc_by(waited.lost);
    if waited.reached == Reached::There {
        return Ok(());
    }
    state.metrics.behind.inc();
    let is_lost = waited.reached == Reached::Lost;
    Err(at_least.behind(is_lost).into())
}

impl Shown {
    /// The position up to which everything about the caller is included.
    pub(crate) const fn position(&self) -> u64 {
        self.position
    }

    /// Names the state in the answer to a query, also where the answer is that the task is not there, or at another
    /// version.
    pub(crate) fn mark(self, answer: Result<Response, ApiError>) -> Response {
        let mut response = answer.into_response();
        for (name, value) in &self.headers() {
            // A problem is not stored at all.
            response.headers_mut().entry(name).or_insert_with(|| value.clone());
        }
        response
    }

    /// The headers of every answer to a query.
    pub(crate) fn headers(self) -> HeaderMap {
        let mut headers = self.headers;
        headers.insert(header::CACHE_CONTROL, PRIVATE);
        headers
    }
}

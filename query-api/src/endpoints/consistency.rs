//! Reading one's own writes: a request that carries a `Consistency-Token` waits until the read models have
//! come that far, at most as long as `Prefer: wait` says, and every answer carries one.

use events::{ConsistencyToken, UserId};
use http::{HeaderMap, header};
use http_api::{AtLeast, PRIVATE};
use read_models::Reached;

use crate::{app_state::App, error::ApiError};

/// What a response shows at least.
#[derive(Debug)]
pub(crate) struct Shown {
    position: u64,
    headers: HeaderMap,
}

/// Waits for what a request of `caller` wants to see, in a place among those who wait.
///
/// # Errors
/// When it is not there in time, or too many wait already.
pub(crate) async fn reached(app: &App, caller: UserId, at_least: &AtLeast) -> Result<Shown, ApiError> {
    if !at_least.tokens.is_empty() {
        let timer = app.waiting.seconds.start_timer();
        let reached = wait(app, caller, at_least).await;
        timer.observe_duration();
        reached?;
    }
    // Taken before any row is read, so that it never promises more than the rows show.
    let token = app.projection.state_of(caller);
    Ok(Shown {
        position: token.position,
        headers: at_least.shown(token),
    })
}

async fn wait(app: &App, caller: UserId, at_least: &AtLeast) -> Result<(), ApiError> {
    let shows = |token: &ConsistencyToken| app.projection.shows(*token);
    if at_least.tokens.iter().all(shows) {
        return Ok(());
    }
    let _place = app.admission.await_projection(caller)?;
    // For whoever is lenient what there is now is the best answer, and its token says how far that goes.
    let waited = app
        .projection
        .reach_all(&at_least.tokens, at_least.wait(), at_least.is_lenient)
        .await?;
    app.waiting.lost.inc_by(waited.lost);
    if waited.reached == Reached::There {
        return Ok(());
    }
    app.waiting.behind.inc();
    let is_lost = waited.reached == Reached::Lost;
    Err(ApiError::ProjectionBehind(at_least.behind(is_lost)))
}

impl Shown {
    /// Everything about the caller up to here is shown.
    pub(crate) const fn position(&self) -> u64 {
        self.position
    }

    /// The headers of every answer to a query.
    pub(crate) fn headers(self) -> HeaderMap {
        let mut headers = self.headers;
        headers.insert(header::CACHE_CONTROL, PRIVATE);
        headers
    }
}

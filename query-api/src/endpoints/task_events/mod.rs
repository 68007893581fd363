//! `GET /tasks/events`: the events of the caller's tasks as they are projected, as server-sent events of the HTML
//! standard. `Last-Event-ID` continues an earlier stream.

mod stream;

use std::time::Duration;

use auth_client::{TaskOwner, bearer_token};
use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use events::{ConsistencyToken, UserId};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use http_api::{AtLeast, BadParameter, single_header};
use read_models::Reached;

use super::consistency::reached;
use crate::{
    app_state::AppState,
    error::ApiError,
    tasks::{ChangeToken, QueryError},
};
use stream::EventStream;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Tells some proxies not to buffer the response.
const UNBUFFERED: HeaderName = HeaderName::from_static("x-accel-buffering");

/// A projection that is more events behind the log than this is waited for.
const FAR: u64 = 500;
/// How long it is waited for. A partition without events follows the log within a second.
const CATCH_UP: Duration = Duration::from_secs(3);

/// Answers with a stream that ends with the token, with the session, and with this process.
pub(crate) async fn task_events(
    State(state): State<AppState>,
    TaskOwner(caller): TaskOwner,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let owner = caller.user_id();
    let token = bearer_token(&headers)?.to_owned();
    let resumed = match single_header(&headers, &LAST_EVENT_ID, "Last-Event-ID")? {
        None => None,
        Some(id) => {
            let id = id.to_str().map_err(|_| BadParameter::new("Last-Event-ID", "it is not text"))?;
            // A browser that has not seen an id sends an empty one.
            (!id.is_empty()).then(|| ChangeToken::read(&state.cursor_key, id, owner)).transpose()?
        }
    };
    let open = state.event_streams.take(owner).await?;
    let at_least = AtLeast::of(&headers)?;
    let shown = reached(&state, owner, &at_least).await?;
    let since = match resumed {
        Some(since) if !state.projection.log_has(since.seen).await? => {
            return Err(QueryError::OtherLog.into());
        }
        Some(since) => since,
        None => {
            let position = present(&state, owner, &at_least, shown.position()).await?;
            ChangeToken::from_now_on(&state.read_models, &state.projection, owner, position).await?
        }
    };
    let mut answer = shown.headers();
    answer.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    answer.insert(UNBUFFERED, HeaderValue::from_static("no"));
    let stream = EventStream::new(state, caller.0, token, since, open);
    Ok((answer, Body::from_stream(stream.into_bytes())).into_response())
}

/// The position from which on `owner` is told what happens. While the read models are far behind, as when they are
/// projected again from the beginning, it would tell the past as if it happened now.
async fn present(
    state: &AppState,
    owner: UserId,
    at_least: &AtLeast,
    position: u64,
) -> Result<u64, ApiError> {
    let store = &state.store;
    let head = store.head().await?;
    if store.events_between(position, head) <= FAR {
        return Ok(position);
    }
    let _place = state.admission.await_projection(owner)?;
    let token = ConsistencyToken::new(owner, head);
    match state.projection.reach(token, CATCH_UP).await? {
        Reached::There => Ok(head),
        Reached::Behind | Reached::Lost => Err(at_least.behind(false).into()),
    }
}

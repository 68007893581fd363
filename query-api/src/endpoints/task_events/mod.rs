//! `GET /tasks/events`: the events of the caller's tasks as they are projected, as server-sent events of the HTML
//! standard. `Last-Event-ID` continues an earlier stream.

mod stream;

use auth_client::{TaskOwner, bearer_token};
use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use http_api::{AtLeast, BadParameter};

use super::consistency::reached;
use crate::{app_state::App, error::ApiError, tasks::ChangeToken};
use stream::EventStream;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Tells some proxies not to buffer the response.
const UNBUFFERED: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Answers with a stream that ends with the token, with the session, and with this process.
pub(crate) async fn task_events(
    State(app): State<App>,
    TaskOwner(caller): TaskOwner,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let owner = caller.user_id();
    let token = bearer_token(&headers)?.to_owned();
    let resumed = match headers.get(LAST_EVENT_ID) {
        None => None,
        Some(id) => {
            let id = id
                .to_str()
                .map_err(|_| BadParameter::new("Last-Event-ID", "it is not text"))?;
            // A browser that has not seen an id sends an empty one.
            (!id.is_empty())
                .then(|| ChangeToken::read(&app.cursor_key, id, owner))
                .transpose()?
        }
    };
    let place = app.event_streams.take(owner).await?;
    let shown = reached(&app, owner, &AtLeast::of(&headers)?).await?;
    let since = match resumed {
        Some(since) if !app.projection.log_has(since.seen).await? => return Err(ApiError::OtherLog),
        Some(since) => since,
        None => ChangeToken::from_now_on(&app.read_models, shown.position()).await?,
    };
    let mut answer = shown.headers();
    answer.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream"),
    );
    answer.insert(UNBUFFERED, HeaderValue::from_static("no"));
    let stream = EventStream::new(app, caller.0, token, since, place);
    Ok((answer, Body::from_stream(stream.into_bytes())).into_response())
}

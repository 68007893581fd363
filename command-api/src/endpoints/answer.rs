//! The responses to accepted commands.

use api_types::Task;
use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{
    HeaderValue, StatusCode,
    header::{CACHE_CONTROL, ETAG, LOCATION},
};
use http_api::{CONSISTENCY_TOKEN, PRIVATE, consistency_token, etag};

use crate::{domain::Command, handling::TaskState};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ResponseKind {
    /// `201` with the task and its `Location`.
    Created,
    /// `200` with the task.
    Task,
    /// `204` without a body.
    Nothing,
}

pub(crate) const fn response_kind(command: &Command) -> ResponseKind {
    match command {
        Command::Create(_) => ResponseKind::Created,
        Command::Delete(_) => ResponseKind::Nothing,
        Command::Change(_)
        | Command::Start(_)
        | Command::Complete(_)
        | Command::Cancel(_)
        | Command::Reopen(_)
        | Command::Restore(_)
        | Command::Revert(_)
        | Command::Undo(_) => ResponseKind::Task,
    }
}

/// The response to `command`, after which the task has this `state`.
pub(crate) fn answer(command: &Command, state: &TaskState) -> Response {
    let kind = response_kind(command);
    let mut response = match kind {
        ResponseKind::Created => (StatusCode::CREATED, Json(Task::from(&*state.task))).into_response(),
        ResponseKind::Task => Json(Task::from(&*state.task)).into_response(),
        ResponseKind::Nothing => StatusCode::NO_CONTENT.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(&CONSISTENCY_TOKEN, consistency_token(state.token()));
    headers.insert(CACHE_CONTROL, PRIVATE);
    if kind != ResponseKind::Nothing {
        headers.insert(ETAG, etag(state.task.version));
    }
    if kind == ResponseKind::Created
        && let Ok(location) = HeaderValue::try_from(format!("/tasks/{}", state.task.id))
    {
        headers.insert(LOCATION, location);
    }
    response
}

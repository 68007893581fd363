//! `GET /tasks/{id}`: one task as it is now.

use auth_client::TaskOwner;
use axum::{
    Json,
    extract::{Path, RawQuery, State, rejection::PathRejection},
    response::{IntoResponse, Response},
};
use events::TaskId;
use http::{HeaderMap, StatusCode, header};

use http_api::{Parameters, Preconditions, ReadOutcome};

use super::consistency::AtLeast;
use crate::{
    admission::Cost,
    app::App,
    error::ApiError,
    tasks::{self, TaskView},
};

/// Answers with the task and its version as `ETag`, `304` when the caller has that version, `412` when
/// `If-Match` names another.
pub(crate) async fn get_task(
    State(app): State<App>,
    TaskOwner(caller): TaskOwner,
    id: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    Parameters::parse(query.as_deref().unwrap_or_default())?.finish()?;
    let conditions = Preconditions::of(&headers)?;
    let at_least = AtLeast::of(&headers)?;
    // What is not even text is no id either.
    let id = id
        .ok()
        .and_then(|Path(id)| parse_id(&id))
        .ok_or(ApiError::TaskNotFound)?;

    let shown = at_least.reached(&app, caller.user_id()).await?;
    let _admitted = app.admission.admit(caller.user_id(), Cost::Ordinary).await?;
    let row = tasks::find(&app.read_models, caller.user_id(), id)
        .await?
        .ok_or(ApiError::TaskNotFound)?;
    let task = TaskView::of(&row)?;

    let mut answer = shown.headers();
    answer.insert(header::ETAG, http_api::etag(task.version));
    match conditions.of_read(task.version) {
        ReadOutcome::Show => Ok((answer, Json(task)).into_response()),
        ReadOutcome::NotModified => Ok((StatusCode::NOT_MODIFIED, answer).into_response()),
        ReadOutcome::Mismatch => Err(ApiError::VersionMismatch { actual: task.version }),
    }
}

/// Ids have one spelling in URLs, the hyphenated one.
fn parse_id(text: &str) -> Option<TaskId> {
    const HYPHENATED: usize = 36;
    if text.len() == HYPHENATED {
        text.parse().ok()
    } else {
        None
    }
}

//! `POST /tasks/{id}/reopen`: opens the task again.

use auth_client::TaskOwner;
use axum::{extract::State, response::Response};
use http_api::NoFields;

use super::{app_state::Api, command_headers::CommandHeaders, task_path::TaskPath};
use crate::{domain::ReopenTask, error::ApiError};

/// `200` with the task; if it is open already, `200` with the same version.
pub(crate) async fn reopen_task(
    State(api): State<Api>,
    TaskOwner(caller): TaskOwner,
    headers: CommandHeaders,
    TaskPath(id): TaskPath,
    _: NoFields,
) -> Result<Response, ApiError> {
    api.run_bare(&caller, &headers, id.ok_or(ApiError::NotFound)?, ReopenTask)
        .await
}

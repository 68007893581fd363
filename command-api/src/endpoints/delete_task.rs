//! `DELETE /tasks/{id}`: moves the task to the trash.

use auth_client::TaskOwner;
use axum::{extract::State, response::Response};
use http_api::NoFields;

use super::{app_state::Api, command_headers::CommandHeaders, task_path::TaskPath};
use crate::{domain::DeleteTask, error::ApiError};

/// `204`, also if it is there already.
pub(crate) async fn delete_task(
    State(api): State<Api>,
    TaskOwner(caller): TaskOwner,
    headers: CommandHeaders,
    TaskPath(id): TaskPath,
    _: NoFields,
) -> Result<Response, ApiError> {
    api.run_bare(&caller, &headers, id.ok_or(ApiError::NotFound)?, DeleteTask)
        .await
}

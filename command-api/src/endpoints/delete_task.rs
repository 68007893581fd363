//! `DELETE /tasks/{id}`: puts the task into the trash.

use auth_client::TaskOwner;
use axum::{extract::State, response::Response};

use super::{api::Api, call::Call, task_path::TaskPath};
use crate::{domain::DeleteTask, error::ApiError};

/// `204`; there already: `204`. A body means nothing here (RFC 9110, section 9.3.5) and is not read.
pub(crate) async fn delete_task(
    State(api): State<Api>,
    TaskOwner(caller): TaskOwner,
    call: Call,
    TaskPath(id): TaskPath,
) -> Result<Response, ApiError> {
    api.run_bare(&caller, &call, id.ok_or(ApiError::NotFound)?, DeleteTask)
        .await
}

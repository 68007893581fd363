//! `DELETE /tasks/{id}`: moves the task to the trash.

use auth_client::TaskOwner;
use axum::{extract::State, response::Response};
use events::TaskId;
use http_api::{NoFields, PathId};

use super::command_headers::CommandHeaders;
use crate::{app_state::AppState, domain::DeleteTask, error::ApiError};

/// `204`, also if it is there already.
pub(crate) async fn delete_task(
    State(state): State<AppState>,
    TaskOwner(caller): TaskOwner,
    headers: CommandHeaders,
    id: PathId<TaskId>,
    _: NoFields,
) -> Result<Response, ApiError> {
    state
        .run_bare(&caller, &headers, id.or_not_found()?, DeleteTask)
        .await
}

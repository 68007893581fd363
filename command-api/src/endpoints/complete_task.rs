//! `POST /tasks/{id}/complete`: completes the task.

use auth_client::TaskOwner;
use axum::{extract::State, response::Response};
use events::TaskId;
use http_api::{NoFields, PathId};

use super::command_headers::CommandHeaders;
use crate::{app_state::AppState, domain::CompleteTask, error::ApiError};

/// `200` with the task; if it is completed already, `200` with the same version.
pub(crate) async fn complete_task(
    State(state): State<AppState>,
    TaskOwner(caller): TaskOwner,
    headers: CommandHeaders,
    id: PathId<TaskId>,
    _: NoFields,
) -> Result<Response, ApiError> {
    state
        .run_bare(&caller, &headers, id.or_not_found()?, CompleteTask)
        .await
}

//! `POST /tasks/{id}/reopen`: opens the task again.

use auth_client::TaskOwner;
use axum::{extract::State, response::Response};
use events::TaskId;
use http_api::{NoFields, PathId};

use super::command_headers::CommandHeaders;
use crate::{app_state::AppState, domain::ReopenTask, error::ApiError};

/// `200` with the task; if it is open already, `200` with the same version.
pub(crate) async fn reopen_task(
    State(state): State<AppState>,
    TaskOwner(caller): TaskOwner,
    headers: CommandHeaders,
    id: PathId<TaskId>,
    _: NoFields,
) -> Result<Response, ApiError> {
    state
        .run_bare(&caller, &headers, id.or_not_found()?, ReopenTask)
        .await
}

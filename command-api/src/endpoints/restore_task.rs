//! `POST /tasks/{id}/restore`: restores the task from the trash.

use auth_client::TaskOwner;
use axum::{extract::State, response::Response};
use events::TaskId;
use http_api::{NoFields, PathId};

use super::command_headers::CommandHeaders;
use crate::{app_state::AppState, domain::RestoreTask, error::ApiError};

/// `200` with the task; if it is not in the trash, `200` with the same version.
pub(crate) async fn restore_task(
    State(state): State<AppState>,
    TaskOwner(caller): TaskOwner,
    headers: CommandHeaders,
    id: PathId<TaskId>,
    _: NoFields,
) -> Result<Response, ApiError> {
    state
        .run_bare(&caller, &headers, id.or_not_found()?, RestoreTask)
        .await
}

//! `POST /tasks/{id}/cancel`: cancels the task.

use auth_client::TaskOwner;
use axum::{extract::State, response::Response};
use events::TaskId;
use http_api::{NoFields, PathId};

use super::{app_state::Api, command_headers::CommandHeaders};
use crate::{domain::CancelTask, error::ApiError};

/// `200` with the task; if it is cancelled already, `200` with the same version.
pub(crate) async fn cancel_task(
    State(api): State<Api>,
    TaskOwner(caller): TaskOwner,
    headers: CommandHeaders,
    id: PathId<TaskId>,
    _: NoFields,
) -> Result<Response, ApiError> {
    api.run_bare(&caller, &headers, id.or_not_found()?, CancelTask)
        .await
}

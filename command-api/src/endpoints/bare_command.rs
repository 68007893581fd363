//! The commands without a body: `POST /tasks/{id}/start`, `/complete`, `/cancel`, `/reopen` and `/restore`, and
//! `DELETE /tasks/{id}`.

use auth_client::TaskOwner;
use axum::{extract::State, response::Response};
use events::TaskId;
use http_api::{NoFields, PathId};
use serde_json::Map;

use super::command_headers::CommandHeaders;
use crate::{app_state::AppState, domain::Command, error::ApiError};

/// `200` with the task, or `204` after a deletion. If the task is as asked already, the version stays the same.
pub(crate) async fn bare_command<C: Default + Into<Command>>(
    State(state): State<AppState>,
    TaskOwner(caller): TaskOwner,
    headers: CommandHeaders,
    id: PathId<TaskId>,
    _: NoFields,
) -> Result<Response, ApiError> {
    let keyed = headers.keyed(&Map::new());
    let id = id.or_not_found()?;
    state.run(&caller, &headers, keyed, id, C::default()).await
}

//! `POST /tasks/{id}/revert`: brings a task back to what it was at an earlier version.

use auth_client::TaskOwner;
use axum::{extract::State, response::Response};
use events::TaskId;
use http_api::{FieldError, JsonObject, PathId};
use serde_json::Value;

use super::{command_headers::CommandHeaders, idempotent_request::given_before, single_command::respond};
use crate::{
    app_state::AppState,
    domain::{Command, RevertTask},
    error::ApiError,
};

/// `200` with the task; if nothing changes, `200` with the same version.
pub(crate) async fn revert_task(
    State(state): State<AppState>,
    TaskOwner(caller): TaskOwner,
    headers: CommandHeaders,
    id: PathId<TaskId>,
    body: JsonObject,
) -> Result<Response, ApiError> {
    let keyed = headers.keyed(&body.fields);
    let to_version = body.only("to_version", version)?;
    let id = id.or_not_found()?;
    let person = caller.user_id();
    let mut revert = RevertTask { to_version, was: None };
    let shape = Command::from(revert.clone());
    let given = given_before(&state, person, keyed.as_ref(), |results| respond(&shape, results)).await?;
    if let Some(response) = given {
        return Ok(response);
    }
    {
        let _turn = state.shares.past_reads.acquire(person).await?;
        revert.was = state.handler.own_past(person, id, to_version).await?.map(Box::new);
    }
    state.run(&caller, &headers, keyed, id, revert).await
}

fn version(value: &Value) -> Result<u64, FieldError> {
    match value.as_u64() {
        Some(version @ 1..=api_types::RevertTask::LAST_VERSION) => Ok(version),
        _ if value.is_number() => Err(FieldError::new(
            "out-of-range",
            format!("must be a whole number from 1 to {}", api_types::RevertTask::LAST_VERSION),
        )),
        _ => Err(FieldError::wrong_type("a whole number")),
    }
}

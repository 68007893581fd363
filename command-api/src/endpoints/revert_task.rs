//! `POST /tasks/{id}/revert`: brings a task back to what it was at an earlier version.

use auth_client::TaskOwner;
use axum::{extract::State, response::Response};
use http_api::{FieldError, Form, JsonObject};
use serde_json::Value;

use super::{app_state::Api, command_headers::CommandHeaders, task_path::TaskPath};
use crate::{domain::RevertTask, error::ApiError};

/// `200` with the task; if nothing changes, `200` with the same version.
pub(crate) async fn revert_task(
    State(api): State<Api>,
    TaskOwner(caller): TaskOwner,
    headers: CommandHeaders,
    TaskPath(id): TaskPath,
    body: JsonObject,
) -> Result<Response, ApiError> {
    let keyed = headers.keyed(&body.fields);
    let mut form = Form::new(body.fields);
    let to_version = form.required("to_version", version);
    form.finish()?;
    let id = id.ok_or(ApiError::NotFound)?;
    // It has a value, because there were no errors.
    let to_version = to_version.unwrap_or_default();
    let was = api.handler.past(caller.user_id(), id, to_version).await?;
    let command = RevertTask {
        to_version,
        was: was.map(Box::new),
    };
    api.run(&caller, &headers, keyed, id, command).await
}

fn version(value: &Value) -> Result<u64, FieldError> {
    match value.as_u64() {
        Some(version @ 1..=api_types::RevertTask::LAST_VERSION) => Ok(version),
        _ if value.is_number() => Err(FieldError::new(
            "out-of-range",
            format!(
                "must be a whole number from 1 to {}",
                api_types::RevertTask::LAST_VERSION
            ),
        )),
        _ => Err(FieldError::wrong_type("a whole number")),
    }
}

//! `POST /tasks/undo` `{request_id}`: undoes the changes of an earlier request of the caller, for each task
//! separately.

use auth_client::{Caller, TaskOwner};
use axum::{extract::State, response::Response};
use events::{CorrelationId, UserId};
use http_api::{FieldError, Form, JsonObject, request_id_of, text};
use serde_json::Value;

use super::{
    app_state::Api,
    batch::{BatchCommand, carry_out},
    command_headers::CommandHeaders,
    concurrency_limits::{turn, until_taken},
};
use crate::{
    domain::ExpectedVersion,
    error::{ApiError, BATCHES},
};

/// `200` with `{"results": [{"status", "task"?, "problem"?}]}`, one for each task, in the order in which they were
/// changed. A task that is undone already has `200` and the same version.
pub(crate) async fn undo_request(
    State(api): State<Api>,
    TaskOwner(caller): TaskOwner,
    headers: CommandHeaders,
    body: JsonObject,
) -> Result<Response, ApiError> {
    let turn = turn(&api.shares.batches, caller.user_id(), BATCHES).await?;
    let keyed = headers.keyed(&body.fields);
    let mut form = Form::new(body.fields);
    let request = form.required("request_id", request_id);
    form.finish()?;
    // There is no representation at this path.
    headers.check_without_version(false)?;
    let commands = match request {
        Some(request) => commands(&api, &caller, &request).await?,
        None => Vec::new(),
    };
    if commands.is_empty() {
        return Err(ApiError::NotFound);
    }
    let commands = commands.into_iter().map(Ok).collect();
    let response = carry_out(&api, &caller, &headers, keyed, commands).await?;
    Ok(until_taken(response, turn))
}

fn request_id(value: &Value) -> Result<CorrelationId, FieldError> {
    request_id_of(text(value)?).map_err(|sentence| FieldError::new("malformed", sentence))
}

/// A command for each task that the request has changed.
async fn commands(
    api: &Api,
    caller: &Caller,
    request: &CorrelationId,
) -> Result<Vec<BatchCommand>, ApiError> {
    let person: UserId = caller.user_id();
    let head = api.handler.head().await?;
    let mut commands = Vec::new();
    for changed in api.requests.changed(person, request, head).await? {
        let undo = api
            .handler
            .undo_of(person, changed.task, request, changed.last)
            .await?;
        commands.extend(undo.map(|undo| BatchCommand {
            task: Some(changed.task),
            expected: ExpectedVersion::Any,
            command: undo.into(),
        }));
    }
    Ok(commands)
}

//! `POST /tasks/undo` `{request_id}`: undoes the changes of an earlier request of the caller, for each task
//! separately.

use std::time::Duration;

use auth_client::{Caller, TaskOwner};
use axum::{extract::State, response::Response};
use events::{CorrelationId, UserId};
use http_api::{FieldError, JsonObject, Problem, request_id_of, text};
use serde_json::Value;
use tokio::time::timeout;

use super::{
    batch::{BatchCommand, carry_out, respond},
    command_headers::CommandHeaders,
    concurrency_limits::until_taken,
    idempotent_request::given_before,
};
use crate::{
    app_state::AppState,
    changed_tasks::ChangedTasksError,
    domain::{ExpectedVersion, UndoTask},
    error::ApiError,
};

/// How long it may take to find the changes of the request.
const TIMEOUT: Duration = Duration::from_secs(20);

/// `200` with `{"results": [{"status", "task"?, "problem"?}]}`, one for each task, in the order in which they were
/// changed. A task that is undone already has `200` and the same version.
pub(crate) async fn undo_request(
    State(state): State<AppState>,
    TaskOwner(caller): TaskOwner,
    headers: CommandHeaders,
    body: JsonObject,
) -> Result<Response, ApiError> {
    let held = state.shares.batches.acquire(caller.user_id()).await?;
    let keyed = headers.keyed(&body.fields);
    let request = body.only("request_id", request_id)?;
    // There is no representation at this path.
    headers.check_without_version(false)?;
    let person = caller.user_id();
    let given =
        given_before(&state, person, keyed.as_ref(), |results| respond(&shapes(results.len()), results));
    if let Some(response) = given.await? {
        return Ok(until_taken(response, held));
    }
    let commands = {
        let _reading = state.shares.past_reads.acquire(person).await?;
        let found = timeout(TIMEOUT, commands(&state, &caller, &request)).await;
        found.map_err(|_| ChangedTasksError::Slow)??
    };
    if commands.is_empty() {
        return Err(Problem::not_found().into());
    }
    let commands = commands.into_iter().map(Ok).collect();
    let response = carry_out(&state, &caller, &headers, keyed, commands).await?;
    Ok(until_taken(response, held))
}

fn request_id(value: &Value) -> Result<CorrelationId, FieldError> {
    request_id_of(text(value)?).map_err(|sentence| FieldError::new("malformed", sentence))
}

/// Placeholders for the commands of an undo, which tell the form of its answer.
fn shapes(count: usize) -> Vec<Result<BatchCommand, Problem>> {
    let shape =
        |_| BatchCommand { task: None, expected: ExpectedVersion::Any, command: UndoTask::default().into() };
    (0..count).map(shape).map(Ok).collect()
}

/// A command for each task that the request has changed.
async fn commands(
    state: &AppState,
    caller: &Caller,
    request: &CorrelationId,
) -> Result<Vec<BatchCommand>, ApiError> {
    let person: UserId = caller.user_id();
    let head = state.handler.head().await?;
    let mut commands = Vec::new();
    for changed in state.changed_tasks.of_request(person, request, head).await? {
        let undo = state.handler.states.undo_of(changed.task, person, request, changed.last).await?;
        commands.extend(undo.map(|undo| BatchCommand {
            task: Some(changed.task),
            expected: ExpectedVersion::Any,
            command: undo.into(),
        }));
    }
    Ok(commands)
}

//! The results of a batch for the client.

use std::collections::BTreeMap;

use api_types::{BatchResult, BatchResults, Task};
use axum::{
    Json,
    response::{IntoResponse, Response},
};
use events::ConsistencyToken;
use http::{StatusCode, header::CACHE_CONTROL};
use http_api::{CONSISTENCY_TOKEN, PRIVATE, Problem, consistency_token};

use super::command::BatchCommand;
use crate::{
    endpoints::answer::{ResponseKind, response_kind},
    error::ApiError,
    handling::{CommandError, CommandResult},
};

/// The answer to `commands`, with the token of the last state in it. `open` has the problems of commands that could
/// not be run.
pub(super) fn answer(
    commands: &[Result<BatchCommand, Problem>],
    results: &BTreeMap<usize, CommandResult>,
    mut open: BTreeMap<usize, Problem>,
) -> Response {
    let results_of = commands.iter().enumerate().map(|(place, command)| {
        open.remove(&place).map_or_else(|| result(command, results.get(&place)), |open| refused(&open))
    });
    let answer = BatchResults { results: results_of.collect() };
    let mut response = Json(answer).into_response();
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, PRIVATE);
    if let Some(token) = results.values().filter_map(token).max_by_key(|token| token.position) {
        headers.insert(&CONSISTENCY_TOKEN, consistency_token(token));
    }
    response
}

/// The token of the state that the client sees.
fn token(result: &CommandResult) -> Option<ConsistencyToken> {
    match result {
        CommandResult::Accepted(state) => Some(state.token()),
        CommandResult::Refused { seen, .. } => *seen,
        CommandResult::Invalid => None,
    }
}

fn result(command: &Result<BatchCommand, Problem>, result: Option<&CommandResult>) -> BatchResult {
    match (command, result) {
        (Err(problem), _) => refused(problem),
        (Ok(command), Some(CommandResult::Accepted(state))) => {
            let (status, shows_task) = match response_kind(&command.command) {
                ResponseKind::Nothing => (StatusCode::NO_CONTENT, false),
                ResponseKind::Created => (StatusCode::CREATED, true),
                ResponseKind::Task => (StatusCode::OK, true),
            };
            BatchResult {
                status: status.as_u16(),
                task: shows_task.then(|| Task::from(&*state.task)),
                problem: None,
            }
        }
        (Ok(_), Some(&CommandResult::Refused { refusal, seen })) => {
            refused(&ApiError::from(CommandError::Refused { refusal, seen }).into_logged_problem())
        }
        (Ok(_), Some(CommandResult::Invalid) | None) => refused(&Problem::internal()),
    }
}

fn refused(problem: &Problem) -> BatchResult {
    BatchResult { status: problem.status().as_u16(), task: None, problem: Some(problem.document()) }
}

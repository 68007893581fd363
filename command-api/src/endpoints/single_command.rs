//! A single command with a key.

use std::collections::BTreeMap;

use axum::response::{IntoResponse, Response};
use events::TaskId;
use http_api::Problem;

use super::{
    answer::answer,
    idempotent_request::{Attempt, Attempted, Work},
};
use crate::{
    domain::Command,
    error::ApiError,
    handling::{CommandError, CommandHandler, CommandMetadata, CommandRequest, CommandResult, Executed},
};

/// The request, without the information about other tries.
pub(crate) struct Single<'a>(pub(super) &'a CommandRequest);

impl Work for Single<'_> {
    fn origin(&self) -> &CommandMetadata {
        &self.0.origin
    }

    fn task(&self) -> TaskId {
        self.0.task
    }

    fn existing(&self) -> Vec<TaskId> {
        match self.0.command {
            Command::Create(_) => Vec::new(),
            _ => vec![self.0.task],
        }
    }

    async fn attempt(&self, handler: &CommandHandler, attempt: Attempt) -> Result<Attempted, CommandError> {
        let request = CommandRequest {
            task: attempt.task,
            tries: attempt.tries(attempt.task),
            ..self.0.clone()
        };
        let (result, in_log) = match handler.handle(&request).await {
            Ok(Executed { state, changed }) => (CommandResult::Accepted(state), changed),
            Err(CommandError::Refused { refusal, seen }) => (CommandResult::Refused { refusal, seen }, false),
            Err(error) => return Err(error),
        };
        Ok(Attempted::Complete {
            results: [(0, result)].into(),
            in_log,
        })
    }

    fn respond(&self, results: &BTreeMap<usize, CommandResult>) -> Response {
        respond(&self.0.command, results)
    }
}

/// The answer to `command`, of which this has become.
pub(super) fn respond(command: &Command, results: &BTreeMap<usize, CommandResult>) -> Response {
    match results.get(&0) {
        Some(CommandResult::Accepted(state)) => answer(command, state),
        Some(&CommandResult::Refused { refusal, seen }) => {
            ApiError::from(CommandError::Refused { refusal, seen }).into_response()
        }
        Some(CommandResult::Invalid) | None => Problem::internal().into_response(),
    }
}

//! Runs the command of a single request, once if it has a key.

use std::collections::BTreeMap;

use auth_client::Caller;
use axum::response::{IntoResponse, Response};
use events::TaskId;
use http_api::Problem;

use super::{
    answer::answer,
    command_headers::CommandHeaders,
    idempotent_request::{Attempt, Attempted, Work, once},
};
use crate::{
    app_state::AppState,
    domain::{Command, ExpectedVersion},
    error::ApiError,
    handling::{
        CommandError, CommandHandler, CommandMetadata, CommandRequest, CommandResult, Executed,
        IdempotencyKey, Tries,
    },
    idempotency::RequestHash,
};

impl AppState {
    /// Runs `command` on `task` for `caller`, once if it is `keyed`.
    pub(crate) async fn run(
        &self,
        caller: &Caller,
        headers: &CommandHeaders,
        keyed: Option<(IdempotencyKey, RequestHash)>,
        task: TaskId,
        command: impl Into<Command>,
    ) -> Result<Response, ApiError> {
        let limit = &self.shares.commands;
        let command = command.into();
        let request = CommandRequest {
            task,
            expected: match command {
                // The conditions were checked against the list.
                Command::Create(_) => ExpectedVersion::Any,
                _ => headers.expected(),
            },
            command,
            origin: headers.origin(caller),
            tries: Tries::default(),
        };
        match keyed {
            Some(keyed) => once(self, &Single(&request), &keyed, Some(limit)).await,
            None => {
                let _permit = limit.acquire(caller.user_id()).await?;
                let executed = self.handler.handle(&request).await?;
                Ok(answer(&request.command, &executed.state))
            }
        }
    }
}

/// The request, without the information about other tries.
struct Single<'a>(&'a CommandRequest);

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
        let request =
            CommandRequest { task: attempt.task, tries: attempt.tries(attempt.task), ..self.0.clone() };
        let (result, in_log) = match handler.handle(&request).await {
            Ok(Executed { state, changed }) => (CommandResult::Accepted(state), changed),
            Err(CommandError::Refused { refusal, seen }) => (CommandResult::Refused { refusal, seen }, false),
            Err(error) => return Err(error),
        };
        Ok(Attempted::Complete { results: [(0, result)].into(), in_log })
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

//! Runs the command of a single request, once if it has a key.

use auth_client::Caller;
use axum::response::Response;
use events::TaskId;

use super::{
    answer::answer, command_headers::CommandHeaders, idempotent_request::once, single_command::Single,
};
use crate::{
    app_state::AppState,
    domain::{Command, ExpectedVersion},
    error::ApiError,
    handling::{CommandRequest, IdempotencyKey, Tries},
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

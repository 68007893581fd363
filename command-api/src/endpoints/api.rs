//! What every endpoint needs, and the way that every command goes: with its key if it has one, once.

use std::{sync::Arc, time::Duration};

use auth_client::{Caller, Verifier};
use axum::{extract::FromRef, response::Response};
use events::{TaskId, UserId};
use runtime::{NoTurn, Turn, Turns};
use serde_json::Map;

use super::{answer::answer, batch, call::Call, once::once, single::Single};
use crate::{
    domain::Command,
    error::{Allowance, ApiError, COMMANDS},
    handling::{CommandHandler, CommandRequest, Tries},
    idempotency::{IdempotencyKey, IdempotencyKeys, RequestHash},
};

/// So many commands of one person run at the same time,
const AT_ONCE: usize = 64;
/// and so many are here, with those that wait.
const MOST: usize = 512;
/// The longest wait of a command for the same person's others.
const PATIENCE: Duration = Duration::from_secs(5);

/// What every endpoint needs.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) handler: Arc<CommandHandler>,
    pub(crate) keys: Arc<IdempotencyKeys>,
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) shares: Arc<Shares>,
}

/// What one person may have of this process at the same time, so that there is something left for the others.
pub(crate) struct Shares {
    commands: Turns<UserId>,
    pub(crate) batches: Turns<UserId>,
    pub(crate) batch_rate: batch::BatchRate,
}

impl Shares {
    pub(crate) fn new() -> Self {
        Self {
            commands: Turns::new(AT_ONCE, MOST),
            batches: batch::turns(),
            batch_rate: batch::BatchRate::new(),
        }
    }
}

/// Waits for a turn of `person` among the same person's requests.
pub(crate) async fn turn(
    turns: &Turns<UserId>,
    person: UserId,
    allowance: Allowance,
) -> Result<Turn<UserId>, ApiError> {
    turns.take(person, PATIENCE).await.map_err(|none| match none {
        NoTurn::Full => ApiError::TooMany(allowance),
        NoTurn::Late => ApiError::Late,
    })
}

impl FromRef<Api> for Arc<Verifier> {
    fn from_ref(api: &Api) -> Self {
        Arc::clone(&api.verifier)
    }
}

impl Api {
    /// Runs `command`, which has no body, on `task` for `caller`.
    pub(crate) async fn run_bare(
        &self,
        caller: &Caller,
        call: &Call,
        task: TaskId,
        command: impl Into<Command>,
    ) -> Result<Response, ApiError> {
        self.run(caller, call, call.keyed(&Map::new()), task, command)
            .await
    }

    /// Runs `command` on `task` for `caller`, once if it is `keyed`.
    pub(crate) async fn run(
        &self,
        caller: &Caller,
        call: &Call,
        keyed: Option<(IdempotencyKey, RequestHash)>,
        task: TaskId,
        command: impl Into<Command>,
    ) -> Result<Response, ApiError> {
        let _turn = turn(&self.shares.commands, caller.user_id(), COMMANDS).await?;
        let request = CommandRequest {
            task,
            command: command.into(),
            expected: call.expected.clone(),
            origin: call.origin(caller),
            tries: Tries::default(),
        };
        match keyed {
            Some(keyed) => once(self, &Single(&request), &keyed).await,
            None => Ok(answer(
                &request.command,
                &self.handler.handle(&request).await?.state,
            )),
        }
    }
}

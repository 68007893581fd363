//! What every endpoint needs, and the way that every command goes: with its key if it has one, once.

use std::sync::Arc;

use auth_client::{Caller, Verifier};
use axum::{
    extract::FromRef,
    response::{IntoResponse, Response},
};
use events::TaskId;

use super::{answer::answer, call::Call, error::ApiError};
use crate::{
    domain::Command,
    handling::{CommandHandler, CommandRequest, Earlier},
    idempotency::{Claim, IdempotencyKey, IdempotencyKeys, Lease, StoredAnswer},
};

/// What every endpoint needs.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) handler: Arc<CommandHandler>,
    pub(crate) keys: IdempotencyKeys,
    pub(crate) verifier: Arc<Verifier>,
}

impl FromRef<Api> for Arc<Verifier> {
    fn from_ref(api: &Api) -> Self {
        Arc::clone(&api.verifier)
    }
}

impl Api {
    /// Runs `command` on `task` for `caller`.
    pub(super) async fn run(
        &self,
        caller: &Caller,
        call: &Call,
        task: TaskId,
        command: impl Into<Command>,
    ) -> Result<Response, ApiError> {
        let request = CommandRequest {
            task,
            command: command.into(),
            expected: call.expected.clone(),
            origin: call.origin(caller),
            earlier: Earlier::No,
        };
        match &call.key {
            Some(key) => self.run_once(call, key, request).await,
            None => Ok(answer(&request.command, &self.handler.handle(&request).await?)),
        }
    }

    /// Runs `request` unless its key has been answered, and stores the answer.
    async fn run_once(
        &self,
        call: &Call,
        key: &IdempotencyKey,
        request: CommandRequest,
    ) -> Result<Response, ApiError> {
        let hash = call.hash();
        loop {
            let lease = match self
                .keys
                .claim(request.origin.caller, key, &hash, request.task)
                .await?
            {
                Claim::Answered(stored) => return Ok(stored.into_response()?),
                Claim::Run(lease) => lease,
            };
            let request = CommandRequest {
                task: lease.task,
                earlier: earlier(&lease),
                ..request.clone()
            };
            let (response, effect) = match self.handler.handle(&request).await {
                Ok(outcome) => (answer(&request.command, &outcome), outcome.effect),
                Err(error) => (ApiError::from(error).into_response(), false),
            };
            if response.status().is_server_error() {
                self.release(&lease).await;
                return Ok(response);
            }
            if let Some(response) = self.settle(&lease, response, effect).await? {
                return Ok(response);
            }
        }
    }

    /// Stores the answer to what the lease was for, and returns the one that counts; `None` when someone else has
    /// taken over and there is none yet. `in_log`: the next try would find the same in the log.
    pub(super) async fn settle(
        &self,
        lease: &Lease,
        response: Response,
        in_log: bool,
    ) -> Result<Option<Response>, ApiError> {
        let first = StoredAnswer::from_response(response).await?;
        match self.keys.settle(lease, &first, in_log).await {
            Ok(Some(stored)) => Ok(Some(stored.into_response()?)),
            Ok(None) => Ok(None),
            Err(error) if in_log => {
                tracing::warn!(%error, "cannot store the answer to a command");
                Ok(Some(first.into_response()?))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn release(&self, lease: &Lease) {
        if let Err(error) = self.keys.release(lease).await {
            tracing::debug!(%error, "the lease of an idempotency key will have to run out");
        }
    }
}

/// Whether what the lease is for may have taken effect before.
pub(super) fn earlier(lease: &Lease) -> Earlier {
    if lease.taken_over {
        Earlier::Since(lease.since)
    } else {
        Earlier::NotUntil(lease.until)
    }
}

//! `POST /tasks/batch`: up to 100 commands in one request, each on its own.
//!
//! `{"commands": [{"op": …, "id"?, "if_match"?, …fields}]}`. `op` is `create` (the fields of `POST /tasks`),
//! `update` (those of `PATCH /tasks/{id}`), `start`, `complete`, `cancel`, `reopen`, `delete` or `restore`; all but
//! `create` take the task's `id` and may take `if_match`, its version as a number or an entity tag.

mod command;
mod envelope;
mod if_match;
mod results;

use auth_client::Caller;
use axum::{extract::State, response::Response};
use command::BatchCommand;
use events::TaskId;
use results::BatchResults;
use service::{JsonObject, Problem, new_id};
use uuid::Uuid;

use super::{
    api::{Api, earlier},
    call::Call,
    error::ApiError,
};
use crate::{
    handling::{CommandHandler, CommandRequest, Earlier, Origin},
    idempotency::{Claim, IdempotencyKey},
};

/// Of the request's body.
pub(super) const MOST_BYTES: usize = 1 << 20;

/// `200` with `{"results": [{"status", "task"?, "problem"?}]}`, in the order of the commands. A problem of one
/// command is in its place and does not keep the others back.
pub(super) async fn run_batch(
    State(api): State<Api>,
    caller: Caller,
    call: Call,
    body: JsonObject,
) -> Result<Response, ApiError> {
    let call = call.with_body(&body.fields);
    let batch = Batch {
        commands: envelope::read(body.fields)?,
        origin: call.origin(&caller),
    };
    match &call.key {
        Some(key) => api.run_batch_once(&call, key, &batch).await,
        None => {
            let mut results = BatchResults::default();
            batch.run(&api.handler, new_id(), Earlier::No, &mut results).await;
            Ok(results.answer(caller.user_id()))
        }
    }
}

impl Api {
    /// Runs what has not been run of `batch`, unless its key has been answered, and stores the answer.
    async fn run_batch_once(
        &self,
        call: &Call,
        key: &IdempotencyKey,
        batch: &Batch,
    ) -> Result<Response, ApiError> {
        let caller = batch.origin.caller;
        let hash = call.hash();
        loop {
            let lease = match self.keys.claim(caller, key, &hash, TaskId(new_id())).await? {
                Claim::Answered(stored) => return Ok(stored.into_response()?),
                Claim::Run(lease) => lease,
            };
            let mut results = BatchResults::resume(lease.progress.as_deref())?;
            let earlier = earlier(&lease);
            batch
                .run(&self.handler, lease.task.0, earlier, &mut results)
                .await;
            if !results.is_final() {
                self.keys.pause(&lease, &results.progress()?).await?;
                return Ok(results.answer(caller));
            }
            let response = results.answer(caller);
            if let Some(response) = self.settle(&lease, response, results.is_in_log()).await? {
                return Ok(response);
            }
        }
    }
}

/// What was asked for.
struct Batch {
    commands: Vec<Result<BatchCommand, Problem>>,
    origin: Origin,
}

impl Batch {
    /// Runs the commands that have no result yet. `seed` makes the ids of new tasks: the same for every try.
    async fn run(&self, handler: &CommandHandler, seed: Uuid, earlier: Earlier, results: &mut BatchResults) {
        let mut places = Vec::new();
        let mut requests = Vec::new();
        for (index, command) in self.commands.iter().enumerate() {
            match command {
                _ if results.contains(index) => {}
                Ok(command) => {
                    places.push(index);
                    requests.push(self.request(index, command, seed, earlier));
                }
                Err(problem) => results.reject(index, problem),
            }
        }
        let outcomes = handler.handle_all(&requests).await;
        for ((index, request), outcome) in places.into_iter().zip(&requests).zip(outcomes) {
            results.record(index, &request.command, outcome);
        }
    }

    fn request(&self, index: usize, command: &BatchCommand, seed: Uuid, earlier: Earlier) -> CommandRequest {
        CommandRequest {
            task: command.task.unwrap_or_else(|| new_task(seed, index)),
            command: command.command.clone(),
            expected: command.expected.clone(),
            origin: Origin {
                idempotency_key: self
                    .origin
                    .idempotency_key
                    .as_ref()
                    .map(|key| key.of_command(index)),
                ..self.origin.clone()
            },
            earlier,
        }
    }
}

/// The id of the task that the command at `index` makes: `seed`, a UUIDv7, with the place as its counter (RFC
/// 9562, section 6.2, method 1), so that the ids are in the order of the commands.
fn new_task(seed: Uuid, index: usize) -> TaskId {
    let mut bytes = *seed.as_bytes();
    let [high, low] = u16::try_from(index).unwrap_or(u16::MAX).to_be_bytes();
    bytes[6] = 0x70 | (high & 0x0f);
    bytes[7] = low;
    TaskId(Uuid::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_tasks_have_ids_in_order() {
        let seed = new_id();
        let ids: Vec<_> = (0..100).map(|index| new_task(seed, index)).collect();
        assert!(ids.is_sorted_by(|one, next| one.0 < next.0));
        for id in ids {
            assert_eq!(id.0.get_version_num(), 7);
            assert_eq!(id.0.get_variant(), uuid::Variant::RFC4122);
            assert_eq!(id.0.as_bytes()[..6], seed.as_bytes()[..6]);
        }
    }
}

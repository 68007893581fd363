//! `POST /tasks/batch`: up to 100 commands in one request, each on its own.
//!
//! `{"commands": [{"op": …, "id"?, "if_match"?, …fields}]}`. `op` is `create` (the fields of `POST /tasks`),
//! `update` (those of `PATCH /tasks/{id}`), `start`, `complete`, `cancel`, `reopen`, `delete` or `restore`; all but
//! `create` take the task's `id` and may take `if_match`, its version as a number or an entity tag.

mod command;
mod envelope;
mod if_match;
pub(super) mod rate;
mod results;

use std::collections::{BTreeMap, BTreeSet};

use auth_client::{Caller, TaskOwner};
use axum::{extract::State, response::Response};
use events::TaskId;
use http_api::{Problem, ReceivedJson};
use results::answer;
use runtime::new_id;
use uuid::Uuid;

pub(super) use command::BatchCommand;

use super::{
    command_headers::CommandHeaders,
    concurrency_limits::until_taken,
    idempotent_request::{Attempt, Attempted, Work, once},
};
use crate::{
    app_state::AppState,
    error::ApiError,
    handling::{
        CommandError, CommandHandler, CommandMetadata, CommandRequest, CommandResult, Executed,
        IdempotencyKey,
    },
    idempotency::RequestHash,
};

/// The largest request body in bytes.
pub(crate) const MAX_BYTES: usize = 1 << 20;

/// `200` with `{"results": [{"status", "task"?, "problem"?}]}`, in the order of the commands. A problem of one
/// command is in its place and does not keep the others back.
pub(crate) async fn run_batch(
    State(state): State<AppState>,
    TaskOwner(caller): TaskOwner,
    headers: CommandHeaders,
    body: ReceivedJson,
) -> Result<Response, ApiError> {
    let turn = state.shares.batches.acquire(caller.user_id()).await?;
    let body = body.read()?;
    let keyed = headers.keyed(&body.fields);
    let commands = envelope::read(body.fields)?;
    // There is no representation at this path.
    headers.check_without_version(false)?;
    let response = carry_out(&state, &caller, &headers, keyed, commands).await?;
    Ok(until_taken(response, turn))
}

/// Runs `commands`, once if they are `keyed`, and answers with the result of each.
pub(super) async fn carry_out(
    state: &AppState,
    caller: &Caller,
    headers: &CommandHeaders,
    keyed: Option<(IdempotencyKey, RequestHash)>,
    commands: Vec<Result<BatchCommand, Problem>>,
) -> Result<Response, ApiError> {
    let batch = Batch { commands, origin: headers.origin(caller), seed: TaskId(new_id()) };
    let commands = batch.commands.len();
    state.shares.batch_rate.wait(caller.user_id(), commands).await;
    match keyed {
        // The whole request has a permit already.
        Some(keyed) => once(state, &batch, &keyed, None).await,
        None => {
            let attempt = Attempt::only(batch.seed);
            Ok(match batch.attempt(&state.handler, attempt).await? {
                Attempted::Complete { results, .. } => batch.respond(&results),
                Attempted::Open { response, .. } => response,
            })
        }
    }
}

struct Batch {
    commands: Vec<Result<BatchCommand, Problem>>,
    origin: CommandMetadata,
    /// The seed for the ids of new tasks, the same for every try.
    seed: TaskId,
}

impl Work for Batch {
    fn origin(&self) -> &CommandMetadata {
        &self.origin
    }

    fn task(&self) -> TaskId {
        self.seed
    }

    fn existing(&self) -> Vec<TaskId> {
        let commands = self.commands.iter().flatten();
        let tasks: BTreeSet<TaskId> = commands.filter_map(|command| command.task).collect();
        tasks.into_iter().collect()
    }

    /// Runs the commands that have no result yet.
    async fn attempt(&self, handler: &CommandHandler, attempt: Attempt) -> Result<Attempted, CommandError> {
        let recalled = match &attempt.progress {
            Some(kept) => handler.recall(kept).await?,
            None => None,
        };
        // Without a recalled answer it is unknown whether the effects of an earlier try are in the log.
        let mut in_log = recalled.is_none();
        let mut results = recalled.unwrap_or_default();
        let (mut places, mut requests) = (Vec::new(), Vec::new());
        for (place, command) in self.commands.iter().enumerate() {
            match command {
                _ if results.contains_key(&place) => {}
                Ok(command) => {
                    places.push(place);
                    requests.push(self.request(place, command, &attempt));
                }
                Err(_) => {
                    results.insert(place, CommandResult::Invalid);
                }
            }
        }
        let mut open = BTreeMap::new();
        for (place, outcome) in places.into_iter().zip(handler.handle_all(&requests).await) {
            let result = match outcome {
                Ok(Executed { state, changed }) => {
                    in_log &= changed;
                    CommandResult::Accepted(state)
                }
                Err(CommandError::Refused { refusal, seen }) => {
                    in_log = false;
                    CommandResult::Refused { refusal, seen }
                }
                Err(error) => {
                    open.insert(place, ApiError::from(error).into_logged_problem());
                    continue;
                }
            };
            results.insert(place, result);
        }
        if open.is_empty() {
            return Ok(Attempted::Complete { results, in_log });
        }
        Ok(Attempted::Open { response: answer(&self.commands, &results, open), done: results })
    }

    fn respond(&self, results: &BTreeMap<usize, CommandResult>) -> Response {
        respond(&self.commands, results)
    }
}

/// The answer to `commands`, of all of which something has become.
pub(super) fn respond(
    commands: &[Result<BatchCommand, Problem>],
    results: &BTreeMap<usize, CommandResult>,
) -> Response {
    answer(commands, results, BTreeMap::new())
}

impl Batch {
    fn request(&self, place: usize, command: &BatchCommand, attempt: &Attempt) -> CommandRequest {
        let task = command.task.unwrap_or_else(|| new_task(attempt.task.0, place));
        let key = self.origin.idempotency_key.as_ref();
        CommandRequest {
            task,
            command: command.command.clone(),
            expected: command.expected.clone(),
            origin: CommandMetadata {
                idempotency_key: key.map(|key| key.of_command(place)),
                ..self.origin.clone()
            },
            tries: attempt.tries(task),
        }
    }
}

/// The id of the task that the command at `place` makes: `seed`, a UUIDv7, with the place as its counter (RFC
/// 9562, section 6.2, method 1), so that the ids are in the order of the commands.
fn new_task(seed: Uuid, place: usize) -> TaskId {
    let mut bytes = *seed.as_bytes();
    let [high, low] = u16::try_from(place).unwrap_or(u16::MAX).to_be_bytes();
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

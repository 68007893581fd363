//! A request with an idempotency key: it takes effect once, and has one answer.

use std::{
    collections::{BTreeMap, HashMap},
    future::Future,
    time::Duration,
};

use axum::response::Response;
use events::{TaskId, UserId};
use futures::{StreamExt, TryStreamExt, stream};
use http::HeaderValue;
use http_api::ConcurrencyLimit;
use tokio::time::Instant;

use crate::{
    app_state::AppState,
    error::ApiError,
    handling::{
        CommandError, CommandHandler, CommandMetadata, CommandResult, IdempotencyKey, KeptAnswer, KeptTask,
        Tries,
    },
    idempotency::{Claim, IdempotencyError, KeyTurn, Keyed, Lease, RequestHash, Stored},
};

/// The most tasks that are looked up at once.
const AT_ONCE: usize = 8;
/// After this time a request that keeps losing its lease gives up.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A request with a key.
pub(crate) trait Work: Sync {
    fn origin(&self) -> &CommandMetadata;

    /// The task that it is about, or the seed for the ids of new tasks.
    fn task(&self) -> TaskId;

    /// The tasks that it is about and that may exist already.
    fn existing(&self) -> Vec<TaskId>;

    /// Does the work that is not done yet.
    fn attempt(
        &self,
        handler: &CommandHandler,
        attempt: Attempt,
    ) -> impl Future<Output = Result<Attempted, CommandError>> + Send;

    /// The answer when all work is done.
    fn respond(&self, results: &BTreeMap<usize, CommandResult>) -> Response;
}

/// What one try knows of the others.
pub(crate) struct Attempt {
    /// [`Work::task`] of the first try.
    pub(crate) task: TaskId,
    /// The results of earlier tries.
    pub(crate) progress: Option<KeptAnswer>,
    before: HashMap<TaskId, KeptTask>,
    alone_until: Option<Instant>,
}

pub(crate) enum Attempted {
    /// All work is done: another try would change nothing.
    Complete {
        results: BTreeMap<usize, CommandResult>,
        /// Whether another try would find all effects in the log.
        in_log: bool,
    },
    /// Some work is left.
    Open {
        response: Response,
        /// The results so far.
        done: BTreeMap<usize, CommandResult>,
    },
}

/// Does `work`, unless its key has an answer already, and stores the answer. If there is a `limit`, it takes a permit,
/// but not while it waits for the answer to a duplicate: then it leaves the permits to the caller's other requests.
pub(crate) async fn once(
    state: &AppState,
    work: &impl Work,
    (key, hash): &(IdempotencyKey, RequestHash),
    limit: Option<&ConcurrencyLimit>,
) -> Result<Response, ApiError> {
    let (deadline, owner) = (Instant::now() + TIMEOUT, work.origin().caller);
    loop {
        let turn = state.keys.turn(owner, key).await?;
        let _permit = match limit {
            Some(limit) => Some(limit.acquire(owner).await?),
            None => None,
        };
        let request =
            Keyed { owner, key, hash: *hash, task: work.task(), before: write(&before(state, work).await?)? };
        if let Some(response) = round(state, work, request, turn).await? {
            return Ok(response);
        }
        if Instant::now() >= deadline {
            return Err(IdempotencyError::Busy.into());
        }
    }
}

/// Claims the key, does `work` and stores the answer. `None` if the lease was lost meanwhile, or if the effects of an
/// earlier answer are no longer in the log.
async fn round(
    state: &AppState,
    work: &impl Work,
    request: Keyed<'_>,
    turn: KeyTurn,
) -> Result<Option<Response>, ApiError> {
    let (origin, key) = (work.origin(), request.key);
    let respond = |results: &_| work.respond(results);
    let lease = match state.keys.claim(request, turn).await? {
        Claim::Answered(answer) => return replay(state, origin.caller, key, &answer, respond).await,
        Claim::Run(lease) => lease,
    };
    let attempted = match Attempt::under(&lease) {
        Ok(attempt) => work.attempt(&state.handler, attempt).await.map_err(ApiError::from),
        Err(error) => Err(error.into()),
    };
    let (results, in_log) = match attempted {
        Ok(Attempted::Complete { results, in_log }) => (results, in_log),
        Ok(Attempted::Open { response, done }) => {
            release(state, &lease, Some(&write(&keep(origin, &done))?)).await;
            return Ok(Some(response));
        }
        Err(error) => {
            release(state, &lease, None).await;
            return Err(error);
        }
    };
    let answer = write(&keep(origin, &results))?;
    match state.keys.complete(&lease, &answer, in_log).await {
        Ok(Stored::Ours) => Ok(Some(work.respond(&results))),
        Ok(Stored::Theirs(answer)) => replay(state, origin.caller, key, &answer, respond).await,
        Ok(Stored::Not) => Ok(None),
        Err(error) if in_log => {
            tracing::warn!(%error, "cannot store the answer to a command");
            Ok(Some(work.respond(&results)))
        }
        Err(error) => Err(error.into()),
    }
}

/// The answer that a request with this key was given before: for what is costly to find out, and told otherwise later.
pub(super) async fn given_before(
    state: &AppState,
    caller: UserId,
    keyed: Option<&(IdempotencyKey, RequestHash)>,
    respond: impl Fn(&BTreeMap<usize, CommandResult>) -> Response,
) -> Result<Option<Response>, ApiError> {
    let Some((key, hash)) = keyed else {
        return Ok(None);
    };
    match state.keys.answer(caller, key, hash).await? {
        Some(answer) => replay(state, caller, key, &answer, respond).await,
        None => Ok(None),
    }
}

/// The tasks before the request, for the tries that come after this one.
async fn before(state: &AppState, work: &impl Work) -> Result<Vec<KeptTask>, CommandError> {
    let tasks: Vec<Option<KeptTask>> = stream::iter(work.existing())
        .map(|task| state.handler.before(task))
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    Ok(tasks.into_iter().flatten().collect())
}

fn keep(origin: &CommandMetadata, results: &BTreeMap<usize, CommandResult>) -> KeptAnswer {
    let results = results.iter().map(|(place, result)| (*place, result));
    KeptAnswer::of(&origin.correlation_id, results)
}

fn write(kept: &impl serde::Serialize) -> Result<String, IdempotencyError> {
    Ok(serde_json::to_string(kept)?)
}

/// Repeats `answer`. `None` if its effects are no longer in the log: then the key is free again.
async fn replay(
    state: &AppState,
    caller: UserId,
    key: &IdempotencyKey,
    answer: &str,
    respond: impl Fn(&BTreeMap<usize, CommandResult>) -> Response,
) -> Result<Option<Response>, ApiError> {
    let kept: KeptAnswer = serde_json::from_str(answer).map_err(IdempotencyError::from)?;
    let Some(results) = state.handler.recall(&kept).await? else {
        tracing::warn!("the effect of a command that was answered is not in the log, it may be sent again");
        state.keys.forget(caller, key, answer).await?;
        return Ok(None);
    };
    let mut response = http_api::answering_request(kept.request_id(), || respond(&results));
    response.headers_mut().insert(&http_api::IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    Ok(Some(response))
}

async fn release(state: &AppState, lease: &Lease, progress: Option<&str>) {
    if let Err(error) = state.keys.release(lease, progress).await {
        tracing::warn!(%error, "the lease of an idempotency key will have to run out");
    }
}

impl Attempt {
    /// The try that holds `lease`.
    fn under(lease: &Lease) -> Result<Self, IdempotencyError> {
        let before: Vec<KeptTask> = match &lease.before {
            Some(before) => serde_json::from_str(before)?,
            None => Vec::new(),
        };
        let progress = lease.progress.as_deref().map(serde_json::from_str);
        Ok(Self {
            task: lease.task,
            progress: progress.transpose()?,
            before: before.into_iter().map(|task| (task.id(), task)).collect(),
            alone_until: (!lease.taken_over).then_some(lease.until),
        })
    }

    /// The information about other tries of a command on `task`.
    pub(crate) fn tries(&self, task: TaskId) -> Tries {
        Tries { since: self.before.get(&task).cloned(), alone_until: self.alone_until }
    }

    /// The only try of a request without a key.
    pub(crate) fn only(task: TaskId) -> Self {
        Self { task, progress: None, before: HashMap::new(), alone_until: None }
    }
}

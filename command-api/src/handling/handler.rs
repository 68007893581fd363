//! Runs a command against the store. The only place where conflicts are tried again.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};

use event_store::{Appended, EventStore, StoreError};
use events::{EventId, NewEvent, StreamName, Task, TaskEvent, Timestamp};
use service::{Clock, new_id};
use tokio::sync::{Mutex, MutexGuard};

use super::{
    CommandError, CommandMetrics, CommandRequest, Earlier, Outcome, hot_tasks::HotTasks,
    task_history::TaskHistory,
};
use crate::domain::{Command, Refusal, decide};

/// How often a command is decided anew when others append in between.
const ATTEMPTS: u32 = 16;
/// Queues for commands that met others on the same task.
const QUEUES: usize = 256;

/// Runs commands.
pub struct CommandHandler {
    store: Arc<dyn EventStore>,
    clock: Arc<dyn Clock>,
    hot: HotTasks,
    pub(super) metrics: CommandMetrics,
    queues: Vec<Mutex<()>>,
    hasher: RandomState,
}

/// What the next decision rests on.
struct Basis {
    state: Option<Outcome>,
    version: u64,
    /// Whether it comes from the store, not from memory.
    fresh: bool,
}

impl CommandHandler {
    /// Runs commands against `store`.
    #[must_use]
    pub fn new(store: Arc<dyn EventStore>, clock: Arc<dyn Clock>, metrics: CommandMetrics) -> Self {
        Self {
            store,
            clock,
            hot: HotTasks::new(),
            metrics,
            queues: (0..QUEUES).map(|_| Mutex::new(())).collect(),
            hasher: RandomState::new(),
        }
    }

    /// Makes `request` take effect, once.
    ///
    /// # Errors
    /// [`CommandError::Refused`] when it has none. After any other error it may take effect still; trying
    /// again with the same idempotency key is safe.
    pub async fn handle(&self, request: &CommandRequest) -> Result<Outcome, CommandError> {
        let result = self.run(request).await;
        self.metrics.count(&request.command, &result);
        result
    }

    async fn run(&self, request: &CommandRequest) -> Result<Outcome, CommandError> {
        let mut basis = match self.remembered(request).await {
            Some(basis) => basis,
            None => match self.read(request).await? {
                Read::Basis(basis) => basis,
                Read::Decided(result) => return result,
            },
        };
        // Taken at the first conflict: commands that fight over a task then take turns.
        let mut turn: Option<MutexGuard<'_, ()>> = None;
        for attempt in 1..=ATTEMPTS {
            match self.attempt(request, &basis).await? {
                Attempt::Accepted(outcome) => return Ok(outcome),
                Attempt::Refused(error) => return Err(error),
                Attempt::StaleMemory => {}
                Attempt::Conflict => {
                    self.metrics.conflicts.inc();
                    if turn.is_none() {
                        turn = Some(self.queue(request).lock().await);
                    } else {
                        pause(attempt).await;
                    }
                }
            }
            basis = match self.read(request).await? {
                Read::Basis(basis) => basis,
                Read::Decided(result) => return result,
            };
        }
        Err(CommandError::Contended { attempts: ATTEMPTS })
    }

    /// A basis that needs no look at the store.
    async fn remembered(&self, request: &CommandRequest) -> Option<Basis> {
        match (request.earlier, &request.command) {
            (Earlier::Since(_), _) => None,
            // A new id: nothing can be there.
            (Earlier::No | Earlier::NotUntil(_), Command::Create(_)) => Some(Basis {
                state: None,
                version: 0,
                fresh: true,
            }),
            (earlier @ (Earlier::No | Earlier::NotUntil(_)), _) => {
                let state = self.hot.get(request.task).await?;
                // What another try of this command did may be in memory already. Only the stream tells.
                if let Earlier::NotUntil(end) = earlier
                    && self.clock.now() >= end
                {
                    return None;
                }
                Some(Basis {
                    version: state.task.version,
                    state: Some(state),
                    fresh: false,
                })
            }
        }
    }

    async fn read(&self, request: &CommandRequest) -> Result<Read, CommandError> {
        let history = TaskHistory::read(&*self.store, request.task).await?;
        if let Some(key) = &request.origin.idempotency_key {
            let since = match request.earlier {
                Earlier::Since(since) => since,
                Earlier::No | Earlier::NotUntil(_) => self.clock.now(),
            };
            if let Some(outcome) = history.after_command(request.origin.caller, key, since)? {
                return Ok(Read::Decided(Ok(outcome)));
            }
            if let Some(overtaken) = history.before_later_command(request.origin.caller, key, since) {
                return Ok(Read::Decided(without_effect(request, &history, overtaken)?));
            }
        }
        let state = history.now()?;
        if let Some(state) = &state {
            self.hot.put(state.clone()).await;
        }
        Ok(Read::Basis(Basis {
            state,
            version: history.version(),
            fresh: true,
        }))
    }

    async fn attempt(&self, request: &CommandRequest, basis: &Basis) -> Result<Attempt, CommandError> {
        let state = basis.state.as_ref().map(|state| &*state.task);
        match decide(state, &request.command, &request.context()) {
            Ok(events) if !events.is_empty() => self.append(request, basis, events).await,
            // Memory may be behind; what is told to the client must not be.
            Ok(_) | Err(_) if !basis.fresh => Ok(Attempt::StaleMemory),
            Ok(_) => match &basis.state {
                Some(state) => Ok(Attempt::Accepted(state.clone())),
                None => Ok(Attempt::Refused(not_found(request))),
            },
            Err(refusal) => Ok(Attempt::Refused(CommandError::refused(
                refusal,
                basis.state.as_ref(),
            ))),
        }
    }

    async fn append(
        &self,
        request: &CommandRequest,
        basis: &Basis,
        events: Vec<TaskEvent>,
    ) -> Result<Attempt, CommandError> {
        let state = basis.state.as_ref().map(|state| &*state.task);
        // Clocks can go backwards, a task's times must not.
        let now = self
            .clock
            .now()
            .max(state.map_or(Timestamp::MIN, |task| task.updated_at));
        let causation_id = new_id();
        let records = events
            .iter()
            .map(|event| record(event, request, causation_id, now))
            .collect();
        match self
            .store
            .append(&StreamName::task(request.task), basis.version, records)
            .await
        {
            Ok(Appended { position, .. }) => {
                let task = events
                    .iter()
                    .zip(basis.version + 1..)
                    .fold(state.cloned(), |state, (event, version)| {
                        Task::evolve(state, request.task, event, version, now)
                    });
                let Some(task) = task else {
                    // Only a creation is accepted without a state, and that makes one.
                    return Ok(Attempt::Conflict);
                };
                let outcome = Outcome {
                    task: Arc::new(task),
                    position,
                    effect: true,
                };
                self.hot
                    .put(Outcome {
                        effect: false,
                        ..outcome.clone()
                    })
                    .await;
                Ok(Attempt::Accepted(outcome))
            }
            Err(StoreError::Conflict { .. }) => {
                self.hot.forget(request.task).await;
                Ok(Attempt::Conflict)
            }
            Err(error @ (StoreError::Empty | StoreError::Unavailable(_) | StoreError::Corrupt(_))) => {
                self.hot.forget(request.task).await;
                Err(error.into())
            }
        }
    }

    fn queue(&self, request: &CommandRequest) -> &Mutex<()> {
        &self.queues[self.hasher.hash_one(request.task) as usize % QUEUES]
    }
}

enum Read {
    Basis(Basis),
    /// An earlier try has decided.
    Decided(Result<Outcome, CommandError>),
}

enum Attempt {
    Accepted(Outcome),
    Refused(CommandError),
    StaleMemory,
    Conflict,
}

/// What an earlier try said to a command that had no effect, though later ones of its batch on the same task had:
/// it was decided on one of the states before those, the first `overtaken` events.
fn without_effect(
    request: &CommandRequest,
    history: &TaskHistory,
    overtaken: usize,
) -> Result<Result<Outcome, CommandError>, CommandError> {
    for count in (1..=overtaken).rev() {
        let state = history.after(count)?;
        let task = state.as_ref().map(|state| &*state.task);
        match (decide(task, &request.command, &request.context()), &state) {
            (Ok(events), Some(state)) if events.is_empty() => return Ok(Ok(state.clone())),
            (Ok(_), _) => {}
            (Err(refusal), _) => return Ok(Err(CommandError::refused(refusal, state.as_ref()))),
        }
    }
    Ok(Err(not_found(request)))
}

fn not_found(request: &CommandRequest) -> CommandError {
    CommandError::refused(Refusal::TaskNotFound { id: request.task }, None)
}

fn record(event: &TaskEvent, request: &CommandRequest, causation_id: uuid::Uuid, now: Timestamp) -> NewEvent {
    let encoded = event.encode();
    NewEvent {
        id: EventId(new_id()),
        kind: encoded.kind.to_owned(),
        schema_version: encoded.schema_version,
        encoding: encoded.encoding,
        data: encoded.data,
        metadata: request.metadata(causation_id),
        recorded_at: now,
    }
}

async fn pause(attempt: u32) {
    let most = u64::from(attempt) * 2_000;
    tokio::time::sleep(Duration::from_micros(rand::random_range(0..=most))).await;
}

//! Runs a command against the store. The only place where conflicts are tried again.

use std::{sync::Arc, time::Duration};

use database::Database;
use event_store::{Appended, EventStore, LogWatch, StoreError, StreamHead};
use events::{EventId, NewEvent, StreamName, TaskEvent, TaskId, Timestamp};
use runtime::{Clock, Turn, Turns, new_id, random_between};

use super::{
    CommandError, CommandMetrics, CommandRequest, KeptTask, Outcome, TaskState,
    earlier_try::{self, Found, not_found},
    task_states::{Current, TaskStates},
};
use crate::domain::{Command, decide};

/// How often a command is decided anew when others append in between.
const ATTEMPTS: u32 = 16;
/// So many commands may fight over a task at once, and so long does one wait for its turn among them.
const CONTENDERS: usize = 1_024;
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs commands.
pub struct CommandHandler {
    store: Arc<dyn EventStore>,
    clock: Arc<dyn Clock>,
    pub(super) states: TaskStates,
    pub(super) metrics: CommandMetrics,
    contenders: Turns<TaskId>,
}

/// What the next decision rests on.
struct Basis {
    state: Option<TaskState>,
    version: u64,
    /// Whether it is the state of now, not just one in memory.
    fresh: bool,
}

impl CommandHandler {
    /// Runs commands against `store`, which `log` watches. Snapshots of tasks are in `operations`.
    #[must_use]
    pub fn new(
        store: Arc<dyn EventStore>,
        log: Arc<LogWatch>,
        operations: Database,
        clock: Arc<dyn Clock>,
        metrics: CommandMetrics,
    ) -> Self {
        Self {
            states: TaskStates::new(Arc::clone(&store), log, operations),
            store,
            clock,
            metrics,
            contenders: Turns::new(1, CONTENDERS),
        }
    }

    /// The state of `task` now, before a command that has not been begun; nothing if there is no task.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn before(&self, task: TaskId) -> Result<Option<KeptTask>, CommandError> {
        Ok(self.states.now(task).await?.state.as_ref().map(KeptTask::of))
    }

    /// Throws away all states in memory: they are from another history of the log.
    pub fn forget_all(&self) {
        self.metrics.log_replaced.inc();
        self.states.forget_all();
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
            None => match self.read(request, !request.is_alone()).await? {
                Read::Basis(basis) => basis,
                Read::Decided(result) => return result,
            },
        };
        // Taken at the first conflict: commands that fight over a task then take turns.
        let mut turn: Option<Turn<TaskId>> = None;
        for attempt in 1..=ATTEMPTS {
            let conflict = match self.attempt(request, &basis).await? {
                Attempt::Accepted(outcome) => return Ok(outcome),
                Attempt::Refused(error) => return Err(error),
                Attempt::StaleMemory => None,
                Attempt::Conflict { actual } => {
                    self.metrics.conflicts.inc();
                    if turn.is_none() {
                        let taken = self.contenders.take(request.task, PATIENCE).await;
                        turn = Some(taken.map_err(|_| CommandError::Contended { attempts: attempt })?);
                    } else {
                        pause(attempt).await;
                    }
                    Some(actual)
                }
            };
            if let Some(actual) = conflict
                && let Some(caught_up) = self.caught_up(request, &basis, actual).await?
            {
                basis = caught_up;
                continue;
            }
            basis = match self.read(request, conflict.is_some()).await? {
                Read::Basis(basis) => basis,
                Read::Decided(result) => return result,
            };
        }
        Err(CommandError::Contended { attempts: ATTEMPTS })
    }

    /// A basis that needs no look at the store.
    async fn remembered(&self, request: &CommandRequest) -> Option<Basis> {
        let basis = match &request.command {
            // A new id: nothing can be there.
            Command::Create(_) => Basis {
                state: None,
                version: 0,
                fresh: true,
            },
            _ => {
                let state = self.states.remembered(request.task).await?;
                Basis {
                    version: state.end.version,
                    state: Some(state),
                    fresh: false,
                }
            }
        };
        // What another try of this command did may be in memory already. Only the stream tells.
        request.is_alone().then_some(basis)
    }

    /// After a conflict, the task now in one read of what came after `basis`. Nothing if there was no task, and for a
    /// command with a key: there a longer pass looks for an earlier try.
    async fn caught_up(
        &self,
        request: &CommandRequest,
        basis: &Basis,
        actual: u64,
    ) -> Result<Option<Basis>, CommandError> {
        let current = match (&request.origin.idempotency_key, &basis.state) {
            (None, Some(known)) => self.states.caught_up(known.clone(), actual).await?,
            _ => None,
        };
        let Some(Current { state, version }) = current else {
            self.states.forget(request.task).await;
            return Ok(None);
        };
        Ok(Some(Basis {
            state,
            version,
            fresh: true,
        }))
    }

    /// The task now, unless an earlier try has decided. Those are looked for if `search` says so, or if there may be
    /// any by the time the state is known.
    async fn read(&self, request: &CommandRequest, search: bool) -> Result<Read, CommandError> {
        let key = request.origin.idempotency_key.as_ref();
        let current = if search {
            None
        } else {
            Some(self.states.now(request.task).await?)
        };
        let current = match (key, current) {
            (Some(_), Some(current)) if request.is_alone() => current,
            (Some(key), _) => match earlier_try::find(&self.states, request, key).await? {
                Found::Decided(result) => return Ok(Read::Decided(result)),
                Found::Nothing(current) => current,
            },
            (None, Some(current)) => current,
            (None, None) => self.states.now(request.task).await?,
        };
        let Current { state, version } = current;
        Ok(Read::Basis(Basis {
            state,
            version,
            fresh: true,
        }))
    }

    async fn attempt(&self, request: &CommandRequest, basis: &Basis) -> Result<Attempt, CommandError> {
        let state = basis.state.as_ref();
        match decide(
            state.map(|state| &*state.task),
            &request.command,
            &request.context(),
        ) {
            Ok(events) if !events.is_empty() => self.append(request, basis, events).await,
            // Memory may be behind; what is told to the client must not be.
            Ok(_) | Err(_) if !basis.fresh => Ok(Attempt::StaleMemory),
            Ok(_) => Ok(match state.cloned() {
                Some(state) => Attempt::Accepted(Outcome { state, effect: false }),
                None => Attempt::Refused(not_found(request)),
            }),
            Err(refusal) => Ok(Attempt::Refused(CommandError::refused(refusal, state))),
        }
    }

    async fn append(
        &self,
        request: &CommandRequest,
        basis: &Basis,
        events: Vec<TaskEvent>,
    ) -> Result<Attempt, CommandError> {
        let updated_at = basis.state.as_ref().map(|state| state.task.updated_at);
        // Clocks can go backwards, a task's times must not.
        let now = self.clock.now().max(updated_at.unwrap_or(Timestamp::MIN));
        let causation_id = new_id();
        let records: Vec<NewEvent> = events
            .iter()
            .map(|event| record(event, request, causation_id, now))
            .collect();
        let ids: Vec<EventId> = records.iter().map(|record| record.id).collect();
        let stream = StreamName::task(request.task);
        match self.store.append(&stream, basis.version, records).await {
            Ok(Appended { position, .. }) => {
                let changes = events.iter().zip(ids).zip(basis.version + 1..);
                let state = changes.fold(basis.state.clone(), |state, ((event, id), version)| {
                    let end = StreamHead {
                        version,
                        position,
                        id,
                    };
                    TaskState::evolve(state, request.task, event, end, now)
                });
                let Some(state) = state else {
                    // Only a creation is accepted without a state, and that makes one.
                    return Ok(Attempt::Conflict { actual: 0 });
                };
                self.states.appended(state.clone(), basis.version).await;
                Ok(Attempt::Accepted(Outcome { state, effect: true }))
            }
            // What is in memory is only behind, as far as can be told.
            Err(StoreError::Conflict { actual, .. }) => Ok(Attempt::Conflict { actual }),
            Err(error) => {
                self.states.forget(request.task).await;
                Err(error.into())
            }
        }
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
    /// The stream is at version `actual`.
    Conflict {
        actual: u64,
    },
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
    let most = Duration::from_millis(2) * attempt;
    tokio::time::sleep(most.mul_f64(random_between(0.0, 1.0))).await;
}

//! Runs a command against the store: load, decide, append, and again after a conflict.

use std::sync::Arc;

use aggregate::{Append, Appended};
use database::Database;
use event_store::{EventStore, LogWatch};
use events::{Actor, CorrelationId, Metadata, StreamName, Task, TaskEvent, TaskId, Timestamp, UserId};
use runtime::{Clock, new_id};

use super::{
    CommandError, CommandMetrics, CommandRequest, KeptTask, Outcome, TaskState,
    conflict_queue::{Contenders, Contest},
    decision_state::{self, DecisionState, Read},
    earlier_try::not_found,
    task_states::TaskStates,
};
use crate::domain::{UndoTask, decide, purge};

pub struct CommandHandler {
    store: Arc<dyn EventStore>,
    clock: Arc<dyn Clock>,
    pub(super) states: TaskStates,
    pub(super) metrics: CommandMetrics,
    contenders: Contenders,
}

/// What came of one try.
enum Attempt {
    Accepted(Outcome),
    /// What would be said without an append must not rest on memory.
    MemoryMayBeBehind,
    /// Somebody else appended first. The stream is at version `actual`.
    Conflict {
        actual: u64,
    },
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
            contenders: Contenders::new(),
        }
    }

    /// The state of `task` now, before a command that has not been begun; nothing if there is no task.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn before(&self, task: TaskId) -> Result<Option<KeptTask>, CommandError> {
        Ok(self.states.now(task).await?.state.as_ref().map(KeptTask::of))
    }

    /// The task as it was at `version`, if it has been there and `caller` may know. Reads the events up to there.
    ///
    /// # Errors
    /// When the store fails, or too many others look into the past.
    pub async fn past(
        &self,
        caller: UserId,
        task: TaskId,
        version: u64,
    ) -> Result<Option<Task>, CommandError> {
        // Whoever may not know costs no more than this look, and is told by the decision.
        let now = self.states.now(task).await?.state;
        match now {
            Some(now) if now.task.owner == caller && version <= now.task.version => {
                self.states.past(task, version).await
            }
            Some(_) | None => Ok(None),
        }
    }

    /// What takes back what the events of `caller` in the request `request` did to `task` up to version `last`; nothing if they
    /// did nothing. Reads the events up to there.
    ///
    /// # Errors
    /// When the store fails, or too many others look into the past.
    pub async fn undo_of(
        &self,
        caller: UserId,
        task: TaskId,
        request: &CorrelationId,
        last: u64,
    ) -> Result<Option<UndoTask>, CommandError> {
        self.states.undo_of(task, caller, request, last).await
    }

    /// Where the log ends now.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn head(&self) -> Result<u64, CommandError> {
        Ok(self.store.head().await?)
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

    /// Takes `task` out of the trash for good if it has been there since `deleted_before` or longer, and returns whether that
    /// happened. Whoever restores it at the same moment, or purges it elsewhere, is not overtaken: of two appends one wins.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn purge(&self, task: TaskId, deleted_before: Timestamp) -> Result<bool, CommandError> {
        let known = DecisionState::from(self.states.now(task).await?);
        let Some(state) = &known.state else {
            return Ok(false);
        };
        let events = purge(&state.task, deleted_before);
        if events.is_empty() {
            return Ok(false);
        }
        let causation_id = new_id();
        let metadata = Metadata {
            subject: state.task.owner,
            actor: Actor::System,
            correlation_id: causation_id.to_string().into(),
            causation_id,
            traceparent: None,
            idempotency_key: None,
        };
        let attempt = self.append(task, &metadata, &known, &events).await?;
        Ok(matches!(attempt, Attempt::Accepted(_)))
    }

    async fn run(&self, request: &CommandRequest) -> Result<Outcome, CommandError> {
        let mut contest = Contest::new(&self.contenders, request.task);
        let mut read = match decision_state::remembered(&self.states, request).await {
            Some(known) => Read::State(known),
            None => decision_state::read(&self.states, request, !request.is_alone()).await?,
        };
        loop {
            let known = match read {
                Read::State(known) => known,
                Read::Decided(outcome) => return Ok(outcome),
            };
            read = match self.attempt(request, &known).await? {
                Attempt::Accepted(outcome) => return Ok(outcome),
                Attempt::MemoryMayBeBehind => decision_state::read(&self.states, request, false).await?,
                Attempt::Conflict { actual } => {
                    self.metrics.conflicts.inc();
                    contest.wait().await?;
                    decision_state::after_conflict(&self.states, request, known, actual).await?
                }
            };
        }
    }

    async fn attempt(
        &self,
        request: &CommandRequest,
        known: &DecisionState,
    ) -> Result<Attempt, CommandError> {
        let state = known.state.as_ref();
        let task = state.map(|state| &*state.task);
        match decide(task, &request.command, &request.context()) {
            Ok(events) if !events.is_empty() => {
                let metadata = request.metadata(new_id());
                self.append(request.task, &metadata, known, &events).await
            }
            Ok(_) | Err(_) if !known.fresh => Ok(Attempt::MemoryMayBeBehind),
            Ok(_) => {
                let state = state.cloned().ok_or_else(|| not_found(request))?;
                Ok(Attempt::Accepted(Outcome { state, effect: false }))
            }
            Err(refusal) => Err(CommandError::refused(refusal, state)),
        }
    }

    async fn append(
        &self,
        task: TaskId,
        metadata: &Metadata,
        known: &DecisionState,
        events: &[TaskEvent],
    ) -> Result<Attempt, CommandError> {
        let updated_at = known.state.as_ref().map(|state| state.task.updated_at);
        let append = Append {
            stream: &StreamName::task(task),
            expected_version: known.version,
            not_before: updated_at.unwrap_or(Timestamp::MIN),
            events,
            metadata,
        };
        match aggregate::append(&*self.store, &*self.clock, append).await {
            Ok(Appended::Written(written)) => {
                let before = known.state.clone();
                let Some(state) = TaskState::appended(before, task, events, written) else {
                    // Only a creation is accepted without a state, and that makes one.
                    return Ok(Attempt::Conflict { actual: 0 });
                };
                self.states.appended(state.clone(), known.version).await;
                Ok(Attempt::Accepted(Outcome { state, effect: true }))
            }
            // What is in memory is only behind, as far as can be told.
            Ok(Appended::Conflict { actual }) => Ok(Attempt::Conflict { actual }),
            Err(error) => {
                self.states.forget(task).await;
                Err(error.into())
            }
        }
    }
}

//! Runs a command against the store: load, decide, append, and again after a conflict. The loop is not that of the other aggregates
//! (`Repository::execute`), since it begins with what is in memory, looks for earlier tries and queues after a conflict: one loop with a
//! hook for each of these would be harder to read than two.

use std::sync::Arc;

use aggregate::Appended;
use database::Database;
use event_store::{EventStore, LogWatch};
use events::{Actor, CorrelationId, Metadata, Task, TaskEvent, TaskId, Timestamp, UserId};
use runtime::{Clock, new_id};

use super::{
    CommandError, CommandMetrics, CommandRequest, Executed, KeptTask, TaskState,
    conflict_queue::{ConflictQueue, QueuedCommand},
    decision_state::{self, DecisionState, Read},
    earlier_try::not_found,
    task_state::{FoldedTask, LoadedTask},
    task_states::TaskStates,
};
use crate::domain::{UndoTask, decide, purge};

pub struct CommandHandler {
    pub(super) states: TaskStates,
    pub(super) metrics: CommandMetrics,
    contenders: ConflictQueue,
}

/// What came of one try.
enum Attempt {
    Accepted(Executed),
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
            states: TaskStates::new(store, log, operations, clock),
            metrics,
            contenders: ConflictQueue::new(),
        }
    }

    /// The state of `task` now, before a command that has not been begun; nothing if there is no task.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn before(&self, task: TaskId) -> Result<Option<KeptTask>, CommandError> {
        let now = self.states.tasks.load(&task).await?;
        Ok(TaskState::of(&now).as_ref().map(KeptTask::of))
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
        match self.states.tasks.load(&task).await?.state {
            Some(FoldedTask { task: now, .. }) if now.owner == caller && version <= now.version => {
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
        Ok(self.states.store.head().await?)
    }

    /// Throws away all states in memory: they are from another history of the log.
    pub fn forget_all(&self) {
        self.metrics.log_replaced.inc();
        self.states.tasks.forget_all();
    }

    /// Makes `request` take effect, once.
    ///
    /// # Errors
    /// [`CommandError::Refused`] when it has none. After any other error it may take effect still; trying
    /// again with the same idempotency key is safe.
    pub async fn handle(&self, request: &CommandRequest) -> Result<Executed, CommandError> {
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
        let known = self.states.tasks.load(&task).await?;
        let Some(FoldedTask { task: now, .. }) = &known.state else {
            return Ok(false);
        };
        let events = purge(now, deleted_before);
        if events.is_empty() {
            return Ok(false);
        }
        let causation_id = new_id();
        let metadata = Metadata {
            subject: now.owner,
            actor: Actor::System,
            correlation_id: causation_id.to_string().into(),
            causation_id,
            traceparent: None,
            idempotency_key: None,
        };
        let attempt = self.append(task, &metadata, &known, &events).await?;
        Ok(matches!(attempt, Attempt::Accepted(_)))
    }

    async fn run(&self, request: &CommandRequest) -> Result<Executed, CommandError> {
        let mut contest = QueuedCommand::new(&self.contenders, request.task);
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
        let task = known.task.state.as_ref().map(|state| &*state.task);
        let state = || TaskState::of(&known.task);
        match decide(task, &request.command, &request.context()) {
            Ok(events) if !events.is_empty() => {
                let metadata = request.metadata(new_id());
                self.append(request.task, &metadata, &known.task, &events).await
            }
            Ok(_) | Err(_) if !known.fresh => Ok(Attempt::MemoryMayBeBehind),
            Ok(_) => {
                let state = state().ok_or_else(|| not_found(request))?;
                Ok(Attempt::Accepted(Executed {
                    state,
                    changed: false,
                }))
            }
            Err(refusal) => Err(CommandError::refused(refusal, state().as_ref())),
        }
    }

    async fn append(
        &self,
        task: TaskId,
        metadata: &Metadata,
        known: &LoadedTask,
        events: &[TaskEvent],
    ) -> Result<Attempt, CommandError> {
        match self.states.append(task, known.clone(), events, metadata).await? {
            Appended::Written(after) => Ok(match TaskState::of(&after) {
                Some(state) => Attempt::Accepted(Executed { state, changed: true }),
                // Only a creation is accepted without a state, and that makes one.
                None => Attempt::Conflict { actual: 0 },
            }),
            Appended::Conflict { actual } => Ok(Attempt::Conflict { actual }),
        }
    }
}

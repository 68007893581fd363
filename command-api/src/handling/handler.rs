//! Runs a command against the store: load, decide, append, and again after a conflict. Other aggregates use
//! `Repository::execute`. This loop also begins with a state in memory, searches for earlier tries, and queues after
//! a conflict: a single loop with hooks for all of this would be harder to read.

use std::sync::Arc;

use aggregate::Appended;
use database::Database;
use event_store::{EventStore, LogWatch};
use events::{Actor, Metadata, Task, TaskEvent, TaskId, Timestamp, UserId};
use runtime::{Clock, new_id};

use super::{
    CommandError, CommandMetrics, CommandRequest, Executed, KeptTask, TaskState,
    conflict_queue::{ConflictQueue, QueuedCommand},
    decision_state::{self, DecisionState, Read},
    earlier_try::not_found,
    task_state::{FoldedTask, LoadedTask},
    task_states::TaskStates,
    turns::Turn,
};
use crate::domain::{decide, purge};

pub struct CommandHandler {
    pub(crate) states: TaskStates,
    pub(super) metrics: CommandMetrics,
    contenders: ConflictQueue,
}

enum Attempt {
    Accepted(Executed),
    /// The result needs no append, so it must not rest on memory.
    MemoryMayBeBehind,
    /// Another process appended first. The stream is at version `actual`.
    Conflict {
        actual: u64,
    },
}

impl CommandHandler {
    /// Runs commands against `store`, which `log` watches. Snapshots of tasks are in `operations`.
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

    /// The current state of `task`, before a new command; `None` if there is no task.
    pub async fn before(&self, task: TaskId) -> Result<Option<KeptTask>, CommandError> {
        let now = self.states.tasks.load(&task).await?;
        Ok(TaskState::of(&now).as_ref().map(KeptTask::of))
    }

    /// The task at `version`, if it had that version and belongs to `caller`. Reads the events up to there.
    ///
    /// # Errors
    /// When the store fails, or too many such reads are running.
    pub async fn own_past(
        &self,
        caller: UserId,
        task: TaskId,
        version: u64,
    ) -> Result<Option<Task>, CommandError> {
        // Others cause no more than this read, and are refused by the decision.
        match self.states.tasks.load(&task).await?.state {
            Some(FoldedTask { task: now, .. }) if now.owner == caller && version <= now.version => {
                self.states.past(task, version).await
            }
            Some(_) | None => Ok(None),
        }
    }

    /// The position of the end of the log.
    pub async fn head(&self) -> Result<u64, CommandError> {
        Ok(self.states.store.head().await?)
    }

    /// Removes all states from memory, because they are from another history of the log.
    pub fn forget_all(&self) {
        self.metrics.log_replaced.inc();
        self.states.tasks.forget_all();
    }

    /// Runs `request`, once.
    ///
    /// # Errors
    /// `CommandError::Refused` when it is refused. After any other error it may still take effect; repeating it
    /// with the same idempotency key is safe.
    pub async fn handle(&self, request: &CommandRequest) -> Result<Executed, CommandError> {
        self.handle_in_turn(request, None).await
    }

    /// As [`Self::handle`]. The first append of the request begins in its `turn`, if it has one.
    pub(super) async fn handle_in_turn(
        &self,
        request: &CommandRequest,
        turn: Option<Turn<'_>>,
    ) -> Result<Executed, CommandError> {
        let result = self.run(request, turn).await;
        self.metrics.count(&request.command, &result);
        result
    }

    /// Purges `task` if it has been in the trash since `deleted_before` or longer, and returns whether that happened.
    /// If it is restored or purged elsewhere at the same moment, one of the two appends wins.
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
        let metadata = Metadata::new(now.owner, Actor::System, causation_id.to_string(), causation_id);
        let attempt = self.append(task, &metadata, &known, &events).await?;
        Ok(matches!(attempt, Attempt::Accepted(_)))
    }

    async fn run(
        &self,
        request: &CommandRequest,
        mut turn: Option<Turn<'_>>,
    ) -> Result<Executed, CommandError> {
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
            read = match self.attempt(request, &known, &mut turn).await? {
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
        turn: &mut Option<Turn<'_>>,
    ) -> Result<Attempt, CommandError> {
        let task = known.task.state.as_ref().map(|state| &*state.task);
        let state = || TaskState::of(&known.task);
        match decide(task, &request.command, &request.context()) {
            Ok(events) if !events.is_empty() => {
                let metadata = request.metadata(new_id());
                let appending = self.append(request.task, &metadata, &known.task, &events);
                match turn.take() {
                    Some(turn) => turn.begin(appending).await,
                    None => appending.await,
                }
            }
            Ok(_) | Err(_) if !known.fresh => Ok(Attempt::MemoryMayBeBehind),
            Ok(_) => {
                let state = state().ok_or_else(|| not_found(request))?;
                Ok(Attempt::Accepted(Executed { state, changed: false }))
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
                // Without a state only a creation is accepted, which makes one.
                None => Attempt::Conflict { actual: 0 },
            }),
            Appended::Conflict { actual } => Ok(Attempt::Conflict { actual }),
        }
    }
}

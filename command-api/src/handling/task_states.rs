//! The states of tasks: what is in memory as long as the log is known to be the same, what the log says now, and what it said
//! in the past.

use std::{ops::ControlFlow, sync::Arc, time::Duration};

use aggregate::{Appended, Loaded, Repository};
use database::Database;
use event_store::{EventStore, LogWatch};
use events::{CorrelationId, LogPoint, Metadata, RecordedEvent, Task, TaskEvent, TaskId, UserId};
use runtime::Clock;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

use super::{
    CommandError, KeptTask, TaskState,
    snapshots::TaskSnapshots,
    task_state::{FoldedTask, LoadedTask},
};
use crate::domain::UndoTask;

/// Memory for the tasks that commands touched last, in bytes, used as they come.
const MOST_BYTES: u64 = 16 << 20;
/// A look back that cannot begin within this time is given up.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The states of all tasks.
pub(super) struct TaskStates {
    pub(super) store: Arc<dyn EventStore>,
    pub(super) tasks: Repository<FoldedTask>,
    log: Arc<LogWatch>,
    looks_back: Semaphore,
}

impl TaskStates {
    /// Whoever makes this also runs `log`: without it no state is taken from memory without a look at its stream.
    pub(super) fn new(
        store: Arc<dyn EventStore>,
        log: Arc<LogWatch>,
        operations: Database,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let snapshots = Arc::new(TaskSnapshots::new(operations, Arc::clone(&store)));
        let tasks = Repository::new(Arc::clone(&store), clock, MOST_BYTES, FoldedTask::bytes);
        Self {
            store,
            tasks: tasks.with_snapshots(snapshots),
            log,
            looks_back: Semaphore::new(1),
        }
    }

    /// The state in memory, which may be behind: an append says which version it expects, and nothing is told without one.
    /// Nothing unless the log was found to be the same a moment ago: a state of another history can have the version of one
    /// that the log has now.
    pub(super) fn remembered(&self, task: TaskId) -> Option<LoadedTask> {
        if !self.log.vouches() {
            return None;
        }
        self.tasks.remembered(&task)
    }

    /// Appends what was decided on `known`.
    pub(super) async fn append(
        &self,
        task: TaskId,
        known: LoadedTask,
        events: &[TaskEvent],
        metadata: &Metadata,
    ) -> Result<Appended<LoadedTask>, CommandError> {
        let appended = self.tasks.append(&task, known, events, metadata).await;
        match &appended {
            Ok(Appended::Written(after)) => self.log.saw(LogPoint {
                position: after.position(),
                id: after.end.map(|end| end.id),
            }),
            // What is in memory is only behind, as far as can be told.
            Ok(Appended::Conflict { .. }) => {}
            Err(_) => self.tasks.forget(&task),
        }
        Ok(appended?)
    }

    /// The state that `kept` stands for, if it is from this log. Memory is not asked: it may be of another, too.
    pub(super) async fn restore(&self, kept: &KeptTask) -> Result<Option<TaskState>, CommandError> {
        kept.restore(&*self.store).await
    }

    /// The task at `version` of its stream, folded from its beginning. One at a time, so that whoever looks far back keeps
    /// nobody waiting who does not.
    pub(super) async fn past(&self, task: TaskId, version: u64) -> Result<Option<Task>, CommandError> {
        let _turn = self.look_back().await?;
        let mut past = None;
        let each = |event: &RecordedEvent, now: &LoadedTask| {
            if event.version < version {
                return ControlFlow::Continue(());
            }
            if event.version == version {
                past = now.state.as_ref().map(|state| Task::clone(&state.task));
            }
            ControlFlow::Break(())
        };
        self.tasks.fold(&task, Loaded::default(), each).await?;
        Ok(past)
    }

    /// What the events of `caller` in the request `request` did to the task, up to version `last`; nothing if there are none.
    /// One at a time with other looks back.
    pub(super) async fn undo_of(
        &self,
        task: TaskId,
        caller: UserId,
        request: &CorrelationId,
        last: u64,
    ) -> Result<Option<UndoTask>, CommandError> {
        let _turn = self.look_back().await?;
        let (mut undo, mut before) = (None, None);
        let each = |event: &RecordedEvent, now: &LoadedTask| {
            let metadata = &event.metadata;
            if metadata.correlation_id == *request
                && metadata.actor.person() == Some(caller)
                && let Some(after) = &now.state
            {
                let before = before.as_ref().map(|before: &FoldedTask| &*before.task);
                undo.get_or_insert_with(UndoTask::default)
                    .note(before, &after.task);
            }
            before.clone_from(&now.state);
            match event.version < last {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        };
        self.tasks.fold(&task, Loaded::default(), each).await?;
        Ok(undo)
    }

    async fn look_back(&self) -> Result<SemaphorePermit<'_>, CommandError> {
        match timeout(TIMEOUT, self.looks_back.acquire()).await {
            Ok(Ok(turn)) => Ok(turn),
            // It is never closed.
            Ok(Err(_)) | Err(_) => Err(CommandError::Overloaded),
        }
    }
}

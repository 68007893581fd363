//! The states of tasks: from memory while the log is known to be the same, from the log, and from the past.

use std::{ops::ControlFlow, sync::Arc, time::Duration};

use aggregate::{Appended, Loaded, Repository};
use database::Database;
use event_store::{EventStore, LogWatch};
use events::{CorrelationId, LogPoint, Metadata, RecordedEvent, Task, TaskEvent, TaskId, UserId};
use runtime::Clock;
use tokio::{
    sync::{AcquireError, Semaphore, SemaphorePermit},
    time::timeout,
};

use super::{
    CommandError, KeptTask, TaskState,
    snapshots::TaskSnapshots,
    task_state::{FoldedTask, LoadedTask},
};
use crate::domain::UndoTask;

/// The memory for recently used tasks, in bytes. It is used only as needed.
const MAX_BYTES: u64 = 8 << 20;
/// The most pages of pasts that are read at the same time. One person has only one read
/// (`endpoints/concurrency_limits.rs`), so that nobody keeps the others out.
const PAST_READS: usize = 3;
/// A read of more events than this is long: it takes more than one page of the store.
const LONG: u64 = 512;
/// The most pages of long pasts that are read at the same time. The rest is left for short ones.
const LONG_PAST_READS: usize = 2;
/// How long a read of the past waits for its turn.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long a read of the past may take, with all waits for its turns.
const PAST_READ_TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) struct TaskStates {
    pub(super) store: Arc<dyn EventStore>,
    pub(super) tasks: Repository<FoldedTask>,
    log: Arc<LogWatch>,
    past_reads: Semaphore,
    long_past_reads: Semaphore,
}

impl TaskStates {
    /// The caller must also run `log`: without it no state from memory is used without a read of its stream.
    pub(super) fn new(
        store: Arc<dyn EventStore>,
        log: Arc<LogWatch>,
        operations: Database,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let snapshots = Arc::new(TaskSnapshots::new(operations, Arc::clone(&store)));
        let tasks = Repository::new(Arc::clone(&store), clock, MAX_BYTES, FoldedTask::bytes);
        Self {
            store,
            tasks: tasks.with_snapshots(snapshots),
            log,
            past_reads: Semaphore::new(PAST_READS),
            long_past_reads: Semaphore::new(LONG_PAST_READS),
        }
    }

    /// The state in memory, which may be out of date: an append has an expected version, and an answer without an
    /// append needs a read. `None` unless the log was found to be unchanged a moment ago, because a state of another
    /// history can have the same version.
    pub(super) fn remembered(&self, task: TaskId) -> Option<LoadedTask> {
        if !self.log.vouches() {
            return None;
        }
        self.tasks.remembered(&task)
    }

    /// Appends the events that were decided on `known`.
    pub(super) async fn append(
        &self,
        task: TaskId,
        known: LoadedTask,
        events: &[TaskEvent],
        metadata: &Metadata,
    ) -> Result<Appended<LoadedTask>, CommandError> {
        let appended = self.tasks.append(&task, known, events, metadata).await;
        match &appended {
            Ok(Appended::Written(after)) => {
                self.log.saw(LogPoint { position: after.position(), id: after.end.map(|end| end.id) })
            }
            // The state in memory is probably only out of date.
            Ok(Appended::Conflict { .. }) => {}
            Err(_) => self.tasks.forget(&task),
        }
        Ok(appended?)
    }

    /// The state that `kept` stands for, if it is from this log. The state in memory is not used, because it may be
    /// from another log, too.
    pub(super) async fn restore(&self, kept: &KeptTask) -> Result<Option<TaskState>, CommandError> {
        kept.restore(&*self.store).await
    }

    /// The task at `version` of its stream, folded from its first event.
    pub(super) async fn past(&self, task: TaskId, version: u64) -> Result<Option<Task>, CommandError> {
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
        self.read_past(task, version, each).await?;
        Ok(past)
    }

    /// The command that undoes the events of `caller` in the request `request` on the task, up to version `last`;
    /// `None` if there are none. Reads the events up to there.
    pub(crate) async fn undo_of(
        &self,
        task: TaskId,
        caller: UserId,
        request: &CorrelationId,
        last: u64,
    ) -> Result<Option<UndoTask>, CommandError> {
        let (mut undo, mut before) = (None, None);
        let each = |event: &RecordedEvent, now: &LoadedTask| {
            let metadata = &event.metadata;
            if metadata.correlation_id == *request
                && metadata.actor.person() == Some(caller)
                && let Some(after) = &now.state
            {
                let before = before.as_ref().map(|before: &FoldedTask| &*before.task);
                undo.get_or_insert_with(UndoTask::default).note(before, &after.task);
            }
            before.clone_from(&now.state);
            match event.version < last {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        };
        self.read_past(task, last, each).await?;
        Ok(undo)
    }

    /// Folds the task from its first event to version `last`, where `each` stops. Only a few such reads run at a time,
    /// so that they do not delay others, and each takes turns with them after a page: a longer past takes longer, and
    /// keeps nobody out.
    async fn read_past(
        &self,
        task: TaskId,
        last: u64,
        mut each: impl FnMut(&RecordedEvent, &LoadedTask) -> ControlFlow<()> + Send,
    ) -> Result<(), CommandError> {
        let reading = async {
            let mut now = Loaded::default();
            loop {
                let _turns = self.past_turns(last).await?;
                let (from, mut is_over) = (now.version(), true);
                let page = |event: &RecordedEvent, now: &LoadedTask| {
                    let step = each(event, now);
                    is_over = step.is_break() || event.version < from + LONG;
                    match is_over {
                        false => ControlFlow::Break(()),
                        true => step,
                    }
                };
                now = self.tasks.fold(&task, now, page).await?;
                if is_over {
                    return Ok(());
                }
            }
        };
        match timeout(PAST_READ_TIMEOUT, reading).await {
            Ok(read) => read,
            Err(_) => Err(CommandError::PastTooLong),
        }
    }

    /// The right to read a page of a past of `last` events.
    async fn past_turns(
        &self,
        last: u64,
    ) -> Result<(Option<SemaphorePermit<'_>>, SemaphorePermit<'_>), CommandError> {
        let turns = async {
            // First, so that long reads do not take the places of short ones while they wait.
            let long = match last > LONG {
                true => Some(self.long_past_reads.acquire().await?),
                false => None,
            };
            Ok::<_, AcquireError>((long, self.past_reads.acquire().await?))
        };
        match timeout(TIMEOUT, turns).await {
            Ok(Ok(turns)) => Ok(turns),
            Ok(Err(_)) | Err(_) => Err(CommandError::Overloaded),
        }
    }
}

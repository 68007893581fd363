//! The states of tasks, at a cost that does not grow with their streams. One look at where a stream ends tells whether
//! the state in memory is that of now. Where there is none, a snapshot is folded on, a page of events at a time.

use std::{ops::ControlFlow, sync::Arc, time::Duration};

use aggregate::read_on;
use database::Database;
use event_store::{EventStore, LogWatch, StoreError, StreamHead, for_each_event};
use events::{CorrelationId, LogPoint, RecordedEvent, StreamName, Task, TaskId, UserId};
use runtime::Turns;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

use super::{
    CommandError, KeptTask, TaskState,
    snapshots::Snapshots,
    task_cache::{TaskCache, task_cache},
};
use crate::domain::UndoTask;

/// How many streams are read at once; each holds a page of events.
const READS: usize = 4;
/// How many commands may wait for a read of one task.
const WAITING: usize = 256;
/// A read that cannot begin within this time is given up.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Whoever has folded this many events leaves a snapshot behind.
const LONG_FOLD: u64 = 256;
/// After this many events of a task a snapshot is kept, too.
const SNAPSHOT_EVERY: u64 = 512;

/// The states of all tasks.
pub(super) struct TaskStates {
    store: Arc<dyn EventStore>,
    log: Arc<LogWatch>,
    cache: TaskCache,
    snapshots: Snapshots,
    loads: Turns<TaskId>,
    reads: Semaphore,
    looks_back: Semaphore,
}

/// A task as its stream is now.
#[derive(Debug, Clone)]
pub(super) struct Current {
    /// `None`: there is no task.
    pub(super) state: Option<TaskState>,
    /// Of the stream.
    pub(super) version: u64,
}

impl TaskStates {
    /// Whoever makes this also runs `log`: without it no state is taken from memory without a look at its stream.
    pub(super) fn new(store: Arc<dyn EventStore>, log: Arc<LogWatch>, operations: Database) -> Self {
        Self {
            store,
            log,
            cache: task_cache(),
            snapshots: Snapshots::new(operations),
            loads: Turns::new(1, WAITING),
            reads: Semaphore::new(READS),
            looks_back: Semaphore::new(1),
        }
    }

    /// The state in memory, which may be behind. Nothing unless the log was found to be the same a moment ago: a state
    /// of another history can have the version of one that the log has now.
    pub(super) async fn remembered(&self, task: TaskId) -> Option<TaskState> {
        if !self.log.vouches() {
            return None;
        }
        self.cache.get(&task).await
    }

    /// Remembers what an append made of a task that was at version `before`.
    pub(super) async fn appended(&self, state: TaskState, before: u64) {
        if before / SNAPSHOT_EVERY != state.end.version / SNAPSHOT_EVERY {
            self.snapshots.put(&state).await;
        }
        self.log.saw(LogPoint {
            position: state.end.position,
            id: Some(state.end.id),
        });
        self.cache.put(state.task.id, state).await;
    }

    /// Remembers what was read.
    pub(super) async fn remember(&self, state: Option<&TaskState>) {
        if let Some(state) = state {
            self.cache.put(state.task.id, state.clone()).await;
        }
    }

    /// What is in memory is from another history of the log.
    pub(super) fn forget_all(&self) {
        self.cache.clear();
    }

    /// What is in memory is not what is in the log.
    pub(super) async fn forget(&self, task: TaskId) {
        self.cache.forget(&task).await;
    }

    /// The state now of a task of which `known` was the state until an append met version `actual`: one read, of what came
    /// after it. Nothing if that is long, or if `known` is not from this log.
    pub(super) async fn caught_up(
        &self,
        known: TaskState,
        actual: u64,
    ) -> Result<Option<Current>, CommandError> {
        let task = known.task.id;
        // Others may have caught up while this one waited for its turn.
        let known = match self.cache.get(&task).await {
            Some(cached) if cached.end.version > known.end.version => cached,
            _ => known,
        };
        let behind = actual.saturating_sub(known.end.version);
        if behind >= LONG_FOLD {
            return Ok(None);
        }
        self.catch_up(task, known, behind).await
    }

    /// The state with everything that was in the log when this was called.
    pub(super) async fn now(&self, task: TaskId) -> Result<Current, CommandError> {
        if let Memory::Current(current) = self.current_in_memory(task).await? {
            return Ok(current);
        }
        // One reads, the others find the state in memory.
        let _turn = self
            .loads
            .take(task, TIMEOUT)
            .await
            .map_err(|_| CommandError::Overloaded)?;
        match self.current_in_memory(task).await? {
            Memory::Current(current) => Ok(current),
            Memory::Of(head) => self.load(task, head).await,
        }
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
        self.fold(task, None, |event, state| {
            if event.version < version {
                return ControlFlow::Continue(());
            }
            if event.version == version {
                past = state.map(|state| Task::clone(&state.task));
            }
            ControlFlow::Break(())
        })
        .await?;
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
        self.fold(task, None, |event, after| {
            let metadata = &event.metadata;
            if metadata.correlation_id == *request
                && metadata.actor.person() == Some(caller)
                && let Some(after) = after
            {
                let before = before.as_ref().map(|before: &TaskState| &*before.task);
                undo.get_or_insert_with(UndoTask::default)
                    .note(before, &after.task);
            }
            before = after.cloned();
            match event.version < last {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        })
        .await?;
        Ok(undo)
    }

    async fn look_back(&self) -> Result<SemaphorePermit<'_>, CommandError> {
        match timeout(TIMEOUT, self.looks_back.acquire()).await {
            Ok(Ok(turn)) => Ok(turn),
            // It is never closed.
            Ok(Err(_)) | Err(_) => Err(CommandError::Overloaded),
        }
    }

    /// Gives each event of the task after `from` to `each`, with the state after it, until `each` has seen enough.
    /// Returns the last state, and the version of the stream there.
    pub(super) async fn fold(
        &self,
        task: TaskId,
        from: Option<TaskState>,
        mut each: impl FnMut(&RecordedEvent, Option<&TaskState>) -> ControlFlow<()> + Send,
    ) -> Result<Current, CommandError> {
        let _permit = self.permit().await?;
        let mut version = from.as_ref().map_or(0, |state| state.end.version);
        let mut state = from;
        for_each_event(&*self.store, &StreamName::task(task), version, |event| {
            version = event.version;
            state = TaskState::after(state.take(), task, &event)?;
            Ok::<_, CommandError>(each(&event, state.as_ref()))
        })
        .await?;
        Ok(Current { state, version })
    }

    /// The state in memory if it is that of now, or is not far behind.
    async fn current_in_memory(&self, task: TaskId) -> Result<Memory, CommandError> {
        // Taken before the look, so that it is not ahead of it.
        let known = self.cache.get(&task).await;
        let Some(head) = self.store.stream_head(&StreamName::task(task)).await? else {
            self.cache.forget(&task).await;
            return Ok(Memory::Current(Current {
                state: None,
                version: 0,
            }));
        };
        let Some(known) = known else {
            return Ok(Memory::Of(head));
        };
        if is_at(&known, head) {
            return Ok(Memory::Current(Current {
                version: head.version,
                state: Some(known),
            }));
        }
        let current = match head.version.checked_sub(known.end.version) {
            Some(behind @ 1..LONG_FOLD) => self.catch_up(task, known, behind).await?,
            Some(_) | None => None,
        };
        match current {
            Some(current) => Ok(Memory::Current(current)),
            None => {
                self.cache.forget(&task).await;
                Ok(Memory::Of(head))
            }
        }
    }

    /// Folds at least `behind` more events in; nothing if the state is not from this log.
    async fn catch_up(
        &self,
        task: TaskId,
        known: TaskState,
        behind: u64,
    ) -> Result<Option<Current>, CommandError> {
        let (end, mut folded) = (known.end, 0);
        let mut state = Some(known);
        let is_of_this_log = read_on(
            &*self.store,
            &StreamName::task(task),
            end,
            |entry| entry.map_err(StoreError::from),
            |event| {
                state = TaskState::after(state.take(), task, event)?;
                folded += 1;
                Ok::<_, CommandError>(())
            },
        )
        .await?;
        let Some(state) = state.filter(|_| is_of_this_log && folded >= behind) else {
            return Ok(None);
        };
        self.cache.put(state.task.id, state.clone()).await;
        Ok(Some(Current {
            version: state.end.version,
            state: Some(state),
        }))
    }

    /// The state from a snapshot and what came after it, or from the beginning.
    async fn load(&self, task: TaskId, head: StreamHead) -> Result<Current, CommandError> {
        let snapshot = if head.version > LONG_FOLD {
            self.snapshots.find(task).await
        } else {
            None
        };
        let from = match snapshot {
            Some(kept) => kept.restore(&*self.store).await?,
            None => None,
        };
        let mut folded = 0;
        let current = self
            .fold(task, from, |_, _| {
                folded += 1;
                ControlFlow::Continue(())
            })
            .await?;
        if let Some(state) = &current.state {
            if folded > LONG_FOLD {
                self.snapshots.put(state).await;
            }
            self.cache.put(state.task.id, state.clone()).await;
        }
        Ok(current)
    }

    async fn permit(&self) -> Result<SemaphorePermit<'_>, CommandError> {
        match timeout(TIMEOUT, self.reads.acquire()).await {
            Ok(Ok(permit)) => Ok(permit),
            // It is never closed.
            Ok(Err(_)) | Err(_) => Err(CommandError::Overloaded),
        }
    }
}

/// What a look into memory has found.
enum Memory {
    /// The state of now.
    Current(Current),
    /// Nothing of use; the stream ends here.
    Of(StreamHead),
}

/// Whether `state` is that of a stream which ends at `head`.
fn is_at(state: &TaskState, head: StreamHead) -> bool {
    state.end.version == head.version && state.end.id == head.id
}

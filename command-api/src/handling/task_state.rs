//! A task folded from its stream, with the end of the stream.

use std::sync::Arc;

use aggregate::{Aggregate, Loaded};
use event_store::StreamHead;
use events::{ConsistencyToken, LogPoint, StreamName, Task, TaskEvent, TaskId, Timestamp};
use serde::{Deserialize, Serialize};

/// The approximate size of a task in memory without its texts.
const OVERHEAD: usize = 512;

/// A task after some event of its stream.
#[derive(Debug, Clone)]
pub struct TaskState {
    pub task: Arc<Task>,
    /// The last event.
    pub end: StreamHead,
    /// The versions that brought its texts.
    pub(super) texts: TextVersions,
}

/// A task and the versions of its texts, folded from its stream.
#[derive(Debug, Clone)]
pub(super) struct FoldedTask {
    pub(super) task: Arc<Task>,
    texts: TextVersions,
}

/// A stream as loaded, even if there is no task in it.
pub(super) type LoadedTask = Loaded<FoldedTask>;

/// The versions of the events that brought the texts of a task, which may be long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct TextVersions {
    pub(super) title: u64,
    pub(super) description: u64,
    pub(super) tags: u64,
}

impl TaskState {
    pub fn token(&self) -> ConsistencyToken {
        let point = LogPoint { position: self.end.position, id: Some(self.end.id) };
        ConsistencyToken::at(self.task.owner, point)
    }

    /// The state, if there is a task.
    pub(super) fn of(loaded: &LoadedTask) -> Option<Self> {
        let FoldedTask { task, texts } = loaded.state.clone()?;
        let end = loaded.end?;
        Some(Self { task, end, texts })
    }
}

impl From<TaskState> for LoadedTask {
    fn from(TaskState { task, end, texts }: TaskState) -> Self {
        Self { recorded_at: task.updated_at, state: Some(FoldedTask { task, texts }), end: Some(end) }
    }
}

impl FoldedTask {
    /// The approximate size in memory, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let Self { task, .. } = self;
        let tags: usize = task.tags.iter().map(|tag| size_of::<String>() + tag.len()).sum();
        let description = task.description.as_ref().map_or(0, String::len);
        OVERHEAD + task.title.len() + description + tags
    }
}

impl Aggregate for FoldedTask {
    type Id = TaskId;
    type Event = TaskEvent;

    fn stream(id: &TaskId) -> StreamName {
        Task::stream(id)
    }

    fn evolve(
        state: Option<Self>,
        id: &TaskId,
        event: &TaskEvent,
        version: u64,
        at: Timestamp,
    ) -> Option<Self> {
        let (task, mut texts) = match state {
            Some(Self { task, texts }) => (Some(Arc::unwrap_or_clone(task)), texts),
            None => (None, TextVersions::default()),
        };
        texts.follow(event, version);
        let task = Arc::new(Task::evolve(task, id, event, version, at)?);
        Some(Self { task, texts })
    }
}

impl TextVersions {
    fn follow(&mut self, event: &TaskEvent, version: u64) {
        match event {
            TaskEvent::Created(_) | TaskEvent::Purged(_) => {
                *self = Self { title: version, description: version, tags: version }
            }
            TaskEvent::Renamed(_) => self.title = version,
            TaskEvent::Described(_) => self.description = version,
            TaskEvent::Tagged(_) => self.tags = version,
            TaskEvent::Prioritized(_)
            | TaskEvent::Scheduled(_)
            | TaskEvent::Started(_)
            | TaskEvent::Completed(_)
            | TaskEvent::Cancelled(_)
            | TaskEvent::Reopened(_)
            | TaskEvent::Deleted(_)
            | TaskEvent::Restored(_) => {}
        }
    }
}

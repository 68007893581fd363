//! The stored form of a task's state: a few hundred bytes. It has no texts, only the versions of the events with the
//! texts. So it holds nothing personal, and is useless without its log.

use std::sync::Arc;

use event_store::{EventStore, StreamHead};
use events::{
    Due, Event, EventId, Priority, RecordedEvent, Status, StreamName, Task, TaskEvent, TaskId, Timestamp,
    UserId,
};
use futures::future::try_join_all;
use serde::{Deserialize, Serialize};

use super::{CommandError, TaskState, task_state::TextVersions};

/// A state of a task without its texts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptTask {
    task: Fields,
    owner: UserId,
    /// The position of the last event.
    position: u64,
    /// The id of the last event.
    event: EventId,
    texts: TextVersions,
}

/// The fields of a task that are not texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Fields {
    id: TaskId,
    status: Status,
    priority: Priority,
    due: Option<Due>,
    created_at: Timestamp,
    updated_at: Timestamp,
    completed_at: Option<Timestamp>,
    deleted_at: Option<Timestamp>,
    version: u64,
}

impl KeptTask {
    /// The stored form of `state`.
    pub fn of(state: &TaskState) -> Self {
        let task = &*state.task;
        Self {
            task: Fields {
                id: task.id,
                status: task.status,
                priority: task.priority,
                due: task.due,
                created_at: task.created_at,
                updated_at: task.updated_at,
                completed_at: task.completed_at,
                deleted_at: task.deleted_at,
                version: task.version,
            },
            owner: task.owner,
            position: state.end.position,
            event: state.end.id,
            texts: state.texts,
        }
    }

    fn end(&self) -> StreamHead {
        StreamHead { version: self.task.version, position: self.position, id: self.event }
    }

    pub fn id(&self) -> TaskId {
        self.task.id
    }

    /// The whole state; `None` if this is not from the log `store`. Reads at most four events.
    pub(super) async fn restore(&self, store: &dyn EventStore) -> Result<Option<TaskState>, CommandError> {
        let TextVersions { title, description, tags } = self.texts;
        let mut versions = vec![self.task.version, title, description, tags];
        versions.sort_unstable();
        versions.dedup();
        let stream = StreamName::task(self.task.id);
        let reads =
            versions.into_iter().map(|version| store.read_stream(&stream, version.saturating_sub(1), 1));
        let events: Vec<RecordedEvent> = try_join_all(reads).await?.into_iter().flatten().collect();
        let at = |version: u64| events.iter().find(|event| event.version == version);
        if at(self.task.version).is_none_or(|event| event.id != self.event) {
            return Ok(None);
        }
        let kept = self.task;
        let mut task = Task {
            id: kept.id,
            owner: self.owner,
            title: String::new(),
            description: None,
            status: kept.status,
            priority: kept.priority,
            due: kept.due,
            tags: Vec::new(),
            created_at: kept.created_at,
            updated_at: kept.updated_at,
            completed_at: kept.completed_at,
            deleted_at: kept.deleted_at,
            version: kept.version,
        };
        for version in [title, description, tags] {
            let Some(event) = at(version).filter(|event| !event.is_dropped()) else {
                return Ok(None);
            };
            let Event::Task(event) = Event::try_from(event)? else {
                return Ok(None);
            };
            self.texts.fill(&mut task, event, version);
        }
        Ok(Some(TaskState { task: Arc::new(task), end: self.end(), texts: self.texts }))
    }
}

impl TextVersions {
    /// Takes those texts from `event` that came with `version`.
    fn fill(&self, task: &mut Task, event: TaskEvent, version: u64) {
        let (title, description, tags) = match event {
            TaskEvent::Created(created) => {
                (Some(created.title), Some(created.description), Some(created.tags))
            }
            TaskEvent::Renamed(renamed) => (Some(renamed.title), None, None),
            TaskEvent::Described(described) => (None, Some(described.description), None),
            TaskEvent::Tagged(tagged) => (None, None, Some(tagged.tags)),
            TaskEvent::Purged(_) => (Some(String::new()), Some(None), Some(Vec::new())),
            TaskEvent::Prioritized(_)
            | TaskEvent::Scheduled(_)
            | TaskEvent::Started(_)
            | TaskEvent::Completed(_)
            | TaskEvent::Cancelled(_)
            | TaskEvent::Reopened(_)
            | TaskEvent::Deleted(_)
            | TaskEvent::Restored(_) => (None, None, None),
        };
        if let (true, Some(title)) = (version == self.title, title) {
            task.title = title;
        }
        if let (true, Some(description)) = (version == self.description, description) {
            task.description = description;
        }
        if let (true, Some(tags)) = (version == self.tags, tags) {
            task.tags = tags;
        }
    }
}

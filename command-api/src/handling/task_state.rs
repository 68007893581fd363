//! A task as its stream makes it, and where the stream ended then.

use std::sync::Arc;

use aggregate::Written;
use event_store::StreamHead;
use events::{
    CodecError, ConsistencyToken, Event, LogPoint, RecordedEvent, Task, TaskEvent, TaskId, Timestamp,
};
use serde::{Deserialize, Serialize};

/// A task after some event of its stream.
#[derive(Debug, Clone)]
pub struct TaskState {
    pub task: Arc<Task>,
    /// Its last event.
    pub end: StreamHead,
    /// Where its texts are from.
    pub(super) texts: TextVersions,
}

/// The versions of the events that brought the texts of a task, which may be long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct TextVersions {
    pub(super) title: u64,
    pub(super) description: u64,
    pub(super) tags: u64,
}

impl TaskState {
    /// What a reader must wait for to see it.
    #[must_use]
    pub fn token(&self) -> ConsistencyToken {
        let point = LogPoint {
            position: self.end.position,
            id: Some(self.end.id),
        };
        ConsistencyToken::at(self.task.owner, point)
    }

    /// The state after `event`, the event at `end` of the stream of task `id`, accepted at `at`.
    pub(super) fn evolve(
        state: Option<Self>,
        id: TaskId,
        event: &TaskEvent,
        end: StreamHead,
        at: Timestamp,
    ) -> Option<Self> {
        let (task, mut texts) = match state {
            Some(Self { task, texts, .. }) => (Some(Arc::unwrap_or_clone(task)), texts),
            None => (None, TextVersions::default()),
        };
        texts.follow(event, end.version);
        let task = Arc::new(Task::evolve(task, id, event, end.version, at)?);
        Some(Self { task, end, texts })
    }

    /// The state after `events`, which were appended to the stream of task `id`.
    pub(super) fn appended(
        state: Option<Self>,
        id: TaskId,
        events: &[TaskEvent],
        written: Written,
    ) -> Option<Self> {
        let before = written.end.version - events.len() as u64;
        events
            .iter()
            .zip(before + 1..)
            .fold(state, |state, (event, version)| {
                let end = StreamHead {
                    version,
                    ..written.end
                };
                Self::evolve(state, id, event, end, written.at)
            })
    }

    /// The state after a recorded event of the stream of task `id`; none after one that says nothing any more.
    pub(super) fn after(
        state: Option<Self>,
        id: TaskId,
        event: &RecordedEvent,
    ) -> Result<Option<Self>, CodecError> {
        let end = head_at(event);
        if event.is_dropped() {
            return Ok(None);
        }
        Ok(match Event::try_from(event)? {
            Event::Task(change) => Self::evolve(state, id, &change, end, event.recorded_at),
            // Not of this kind of stream: nothing to a task.
            Event::Account(_)
            | Event::Session(_)
            | Event::Email(_)
            | Event::Admins(_)
            | Event::Operation(_) => state.map(|state| Self { end, ..state }),
        })
    }
}

impl TextVersions {
    fn follow(&mut self, event: &TaskEvent, version: u64) {
        match event {
            TaskEvent::Created(_) | TaskEvent::Purged(_) => {
                *self = Self {
                    title: version,
                    description: version,
                    tags: version,
                }
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

/// The end of a stream whose last event is `event`.
pub(super) fn head_at(event: &RecordedEvent) -> StreamHead {
    StreamHead {
        version: event.version,
        position: event.position,
        id: event.id,
    }
}

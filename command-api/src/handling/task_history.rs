//! A task's stream, as the store has it now.

use std::sync::Arc;

use event_store::{EventStore, read_whole_stream};
use events::{Actor, Event, RecordedEvent, StreamName, Task, TaskId, Timestamp, UserId};

use super::{CommandError, Outcome};
use crate::idempotency::IdempotencyKey;

/// Clocks of several processes differ; an event can seem to be this much older than the try that left it.
const CLOCK_SLACK_SECONDS: i64 = 3_600;

/// All events of one task.
#[derive(Debug)]
pub(super) struct TaskHistory {
    task: TaskId,
    events: Vec<RecordedEvent>,
}

impl TaskHistory {
    pub(super) async fn read(store: &dyn EventStore, task: TaskId) -> Result<Self, CommandError> {
        let events = read_whole_stream(store, &StreamName::task(task)).await?;
        Ok(Self { task, events })
    }

    /// The task now, if there is one.
    pub(super) fn now(&self) -> Result<Option<Outcome>, CommandError> {
        self.after(self.events.len())
    }

    /// The task after its first `count` events.
    pub(super) fn after(&self, count: usize) -> Result<Option<Outcome>, CommandError> {
        self.until(count, false)
    }

    /// The version of the stream.
    pub(super) fn version(&self) -> u64 {
        self.events.last().map_or(0, |event| event.version)
    }

    /// The task after the command that `caller` sent with `key` at `since` or later, if that took effect.
    pub(super) fn after_command(
        &self,
        caller: UserId,
        key: &IdempotencyKey,
        since: Timestamp,
    ) -> Result<Option<Outcome>, CommandError> {
        let last = self
            .events
            .iter()
            .rposition(|event| key_of(event, caller, since) == Some(key.as_str()));
        match last {
            Some(last) => self.until(last + 1, true),
            None => Ok(None),
        }
    }

    /// How many events there were before one of a later command in the batch of `key`, if there is one. The
    /// commands of a batch on one task go in order, so the command of `key` was done before that.
    pub(super) fn before_later_command(
        &self,
        caller: UserId,
        key: &IdempotencyKey,
        since: Timestamp,
    ) -> Option<usize> {
        self.events
            .iter()
            .position(|event| key_of(event, caller, since).is_some_and(|later| key.comes_before(later)))
    }

    fn until(&self, count: usize, effect: bool) -> Result<Option<Outcome>, CommandError> {
        let mut state = None;
        for event in self.events.iter().take(count) {
            state = match Event::try_from(event)? {
                Event::Task(change) => {
                    Task::evolve(state, self.task, &change, event.version, event.recorded_at)
                }
                // Not of this kind of stream: nothing to a task.
                Event::Account(_) | Event::Session(_) | Event::Email(_) | Event::Admins(_) => state,
            };
        }
        let position = self
            .events
            .iter()
            .take(count)
            .last()
            .map_or(0, |event| event.position);
        Ok(state.map(|task| Outcome {
            task: Arc::new(task),
            position,
            effect,
        }))
    }
}

/// The idempotency key of the command that left `event`, if `caller` sent it at `since` or later.
fn key_of(event: &RecordedEvent, caller: UserId, since: Timestamp) -> Option<&str> {
    let since = since.plus_seconds(-CLOCK_SLACK_SECONDS);
    let is_theirs = event.metadata.actor == Actor::User(caller) && event.recorded_at >= since;
    event.metadata.idempotency_key.as_deref().filter(|_| is_theirs)
}

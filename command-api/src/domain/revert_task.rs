//! Brings a task back to what it was at an earlier version.

use events::{
    Status, Task, TaskDeleted, TaskDescribed, TaskEvent, TaskPrioritized, TaskRenamed, TaskScheduled,
    TaskTagged,
};

use super::{Refusal, transition::transition};

/// Bring the task back to an earlier state. That state was valid then, so it is not checked again. Times become the
/// time of this command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevertTask {
    /// The wanted version.
    pub to_version: u64,
    /// The task at that version; `None` if it never had it.
    pub was: Option<Box<Task>>,
}

impl RevertTask {
    pub(super) fn decide(&self, task: &Task) -> Result<Vec<TaskEvent>, Refusal> {
        let was = match &self.was {
            Some(was) if self.to_version <= task.version => was,
            Some(_) | None => {
                return Err(Refusal::NoSuchVersion {
                    version: self.to_version,
                });
            }
        };
        let mut events = differences(task, was);
        events.extend(way_to(task, was.status)?);
        if was.deleted_at.is_some() {
            events.push(TaskDeleted {}.into());
        }
        Ok(events)
    }
}

/// The events that make the fields of `task` equal to those of `was`, except for the status.
fn differences(task: &Task, was: &Task) -> Vec<TaskEvent> {
    let mut events: Vec<TaskEvent> = Vec::new();
    if task.title != was.title {
        let title = was.title.clone();
        events.push(TaskRenamed { title }.into());
    }
    if task.description != was.description {
        let description = was.description.clone();
        events.push(TaskDescribed { description }.into());
    }
    if task.priority != was.priority {
        let priority = was.priority;
        events.push(TaskPrioritized { priority }.into());
    }
    if task.due != was.due {
        events.push(TaskScheduled { due: was.due }.into());
    }
    if task.tags != was.tags {
        let tags = was.tags.clone();
        events.push(TaskTagged { tags }.into());
    }
    events
}

/// The changes of status that lead to `status`, by way of `open` if necessary.
pub(super) fn way_to(task: &Task, status: Status) -> Result<Vec<TaskEvent>, Refusal> {
    if let Ok(direct) = transition(task, status) {
        return Ok(direct.into_iter().collect());
    }
    let reopened = transition(task, Status::Open)?;
    let open = Task {
        status: Status::Open,
        ..task.clone()
    };
    Ok(reopened.into_iter().chain(transition(&open, status)?).collect())
}

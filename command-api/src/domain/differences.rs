//! The events that lead from one state of a task's fields to another.

use events::{Task, TaskDescribed, TaskEvent, TaskPrioritized, TaskRenamed, TaskScheduled, TaskTagged};

/// The events that make the title, the description, the priority, the due date and the tags of `task` equal to those of
/// `wanted`. Fields that are equal already leave no event.
pub(super) fn differences(task: &Task, wanted: &Task) -> Vec<TaskEvent> {
    let mut events: Vec<TaskEvent> = Vec::new();
    if task.title != wanted.title {
        let title = wanted.title.clone();
        events.push(TaskRenamed { title }.into());
    }
    if task.description != wanted.description {
        let description = wanted.description.clone();
        events.push(TaskDescribed { description }.into());
    }
    if task.priority != wanted.priority {
        let priority = wanted.priority;
        events.push(TaskPrioritized { priority }.into());
    }
    if task.due != wanted.due {
        events.push(TaskScheduled { due: wanted.due }.into());
    }
    if task.tags != wanted.tags {
        let tags = wanted.tags.clone();
        events.push(TaskTagged { tags }.into());
    }
    events
}

//! Changes some fields of a task at once.

use events::{
    Description, Due, Priority, Status, Tags, Task, TaskDescribed, TaskEvent, TaskPrioritized, TaskRenamed,
    TaskScheduled, TaskTagged, Title,
};

use super::{Refusal, transition::transition};

/// Change the given fields. Fields that already have the wanted value leave no event. If the wanted status is not
/// allowed, nothing changes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChangeTask {
    /// The wanted title.
    pub title: Option<Title>,
    /// The wanted description; `Some(None)` clears it.
    pub description: Option<Option<Description>>,
    /// The wanted priority.
    pub priority: Option<Priority>,
    /// The wanted due date; `Some(None)` clears it.
    pub due: Option<Option<Due>>,
    /// All wanted tags; an empty list clears them.
    pub tags: Option<Tags>,
    /// The wanted status.
    pub status: Option<Status>,
}

impl ChangeTask {
    pub(super) fn decide(&self, task: &Task) -> Result<Vec<TaskEvent>, Refusal> {
        let mut events = Vec::new();
        if let Some(title) = &self.title
            && title.as_str() != task.title
        {
            events.push(
                TaskRenamed {
                    title: title.as_str().to_owned(),
                }
                .into(),
            );
        }
        if let Some(description) = &self.description {
            let wanted = description.as_ref().map(Description::as_str);
            if wanted != task.description.as_deref() {
                events.push(
                    TaskDescribed {
                        description: wanted.map(str::to_owned),
                    }
                    .into(),
                );
            }
        }
        if let Some(priority) = self.priority
            && priority != task.priority
        {
            events.push(TaskPrioritized { priority }.into());
        }
        if let Some(due) = self.due
            && due != task.due
        {
            events.push(TaskScheduled { due }.into());
        }
        if let Some(tags) = &self.tags
            && tags.as_slice() != task.tags
        {
            events.push(
                TaskTagged {
                    tags: tags.as_slice().to_vec(),
                }
                .into(),
            );
        }
        if let Some(status) = self.status {
            events.extend(transition(task, status)?);
        }
        Ok(events)
    }
}

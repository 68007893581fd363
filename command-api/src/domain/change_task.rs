//! Changes some fields of a task at once.

use events::{
    Due, Priority, Status, Task, TaskDescribed, TaskEvent, TaskPrioritized, TaskRenamed, TaskScheduled,
    TaskTagged,
};

use super::{Description, Refusal, Tags, Title, transition::transition};

/// Change the fields that are given. Those that are as wanted already leave no event; if the status may not
/// change as wanted, nothing does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChangeTask {
    /// The title wanted.
    pub title: Option<Title>,
    /// The description wanted; `Some(None)` clears it.
    pub description: Option<Option<Description>>,
    /// The priority wanted.
    pub priority: Option<Priority>,
    /// The due date wanted; `Some(None)` clears it.
    pub due: Option<Option<Due>>,
    /// The tags wanted, all of them; none clears them.
    pub tags: Option<Tags>,
    /// The status wanted.
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

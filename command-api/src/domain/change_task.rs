//! Changes some fields of a task at once.

use events::{Description, Due, Priority, Status, Tags, Task, TaskEvent, Title};

use super::{Refusal, differences::differences, transition::transition};

/// Change the given fields. Fields that already have the wanted value leave no event. If the wanted status is not
/// allowed, nothing changes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChangeTask {
    pub title: Option<Title>,
    /// The wanted description; `Some(None)` clears it.
    pub description: Option<Option<Description>>,
    pub priority: Option<Priority>,
    /// The wanted due date; `Some(None)` clears it.
    pub due: Option<Option<Due>>,
    /// All wanted tags; an empty list clears them.
    pub tags: Option<Tags>,
    pub status: Option<Status>,
}

impl ChangeTask {
    pub(super) fn decide(&self, task: &Task) -> Result<Vec<TaskEvent>, Refusal> {
        let mut wanted = task.clone();
        if let Some(title) = &self.title {
            wanted.title = title.as_str().to_owned();
        }
        if let Some(description) = &self.description {
            wanted.description = description.as_ref().map(|text| text.as_str().to_owned());
        }
        if let Some(tags) = &self.tags {
            wanted.tags = tags.as_slice().to_vec();
        }
        wanted.priority = self.priority.unwrap_or(task.priority);
        wanted.due = self.due.unwrap_or(task.due);
        let mut events = differences(task, &wanted);
        if let Some(status) = self.status {
            events.extend(transition(task, status)?);
        }
        Ok(events)
    }
}

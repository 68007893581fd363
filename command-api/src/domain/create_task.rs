//! Creates a task.

use events::{Description, Due, Priority, Tags, Task, TaskCreated, TaskEvent, Title};

use super::{Context, Refusal};

/// Create a task that belongs to the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateTask {
    pub title: Title,
    pub description: Option<Description>,
    pub priority: Priority,
    pub due: Option<Due>,
    /// In the order given.
    pub tags: Tags,
}

impl CreateTask {
    pub(super) fn decide(&self, state: Option<&Task>, context: &Context) -> Result<Vec<TaskEvent>, Refusal> {
        if state.is_some() {
            return Err(Refusal::TaskExists { id: context.task });
        }
        Ok(vec![
            TaskCreated {
                owner: context.caller,
                title: self.title.as_str().to_owned(),
                description: self.description.as_ref().map(|description| description.as_str().to_owned()),
                priority: self.priority,
                due: self.due,
                tags: self.tags.as_slice().to_vec(),
            }
            .into(),
        ])
    }
}

//! Brings a task back to what it was at an earlier version.

use events::{Status, Task, TaskDeleted, TaskEvent};

use super::{Refusal, differences::differences, transition::transition};

/// Bring the task back to an earlier state. That state was valid then, so it is not checked again. Times become the
/// time of this command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevertTask {
    pub to_version: u64,
    /// The task at that version; `None` if it never had it.
    pub was: Option<Box<Task>>,
}

impl RevertTask {
    pub(super) fn decide(&self, task: &Task) -> Result<Vec<TaskEvent>, Refusal> {
        let was = match &self.was {
            Some(was) if self.to_version <= task.version => was,
            Some(_) | None => {
                return Err(Refusal::NoSuchVersion { version: self.to_version });
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

/// The changes of status that lead to `status`, by way of `open` if necessary.
pub(super) fn way_to(task: &Task, status: Status) -> Result<Vec<TaskEvent>, Refusal> {
    if let Ok(direct) = transition(task, status) {
        return Ok(direct.into_iter().collect());
    }
    let reopened = transition(task, Status::Open)?;
    let open = Task { status: Status::Open, ..task.clone() };
    Ok(reopened.into_iter().chain(transition(&open, status)?).collect())
}

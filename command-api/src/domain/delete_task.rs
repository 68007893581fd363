//! Moves a task to the trash.

use events::{Task, TaskDeleted, TaskEvent};

/// Move the task to the trash. If it is there already, nothing happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DeleteTask;

impl DeleteTask {
    pub(super) fn decide(self, task: &Task) -> Vec<TaskEvent> {
        if task.deleted_at.is_some() { Vec::new() } else { vec![TaskDeleted {}.into()] }
    }
}

//! Restores a task from the trash.

use events::{Task, TaskEvent, TaskRestored};

/// Restore the task from the trash. If it is not there, nothing happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RestoreTask;

impl RestoreTask {
    pub(super) fn decide(self, task: &Task) -> Vec<TaskEvent> {
        if task.deleted_at.is_some() { vec![TaskRestored {}.into()] } else { Vec::new() }
    }
}

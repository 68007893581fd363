//! Takes a task out of the trash.

use events::{Task, TaskEvent, TaskRestored};

/// Take the task out of the trash. Not in it: nothing happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestoreTask;

impl RestoreTask {
    pub(super) fn decide(self, task: &Task) -> Vec<TaskEvent> {
        if task.deleted_at.is_some() {
            vec![TaskRestored {}.into()]
        } else {
            Vec::new()
        }
    }
}

//! Cancels a task.

use events::{Status, Task, TaskEvent};

use super::{Refusal, transition::transition};

/// Cancel the task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CancelTask;

impl CancelTask {
    pub(super) fn decide(self, task: &Task) -> Result<Vec<TaskEvent>, Refusal> {
        Ok(transition(task, Status::Cancelled)?.into_iter().collect())
    }
}

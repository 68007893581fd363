//! Completes a task.

use events::{Status, Task, TaskEvent};

use super::{Refusal, transition::transition};

/// Complete the task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CompleteTask;

impl CompleteTask {
    pub(super) fn decide(self, task: &Task) -> Result<Vec<TaskEvent>, Refusal> {
        Ok(transition(task, Status::Done)?.into_iter().collect())
    }
}

//! Begins a task.

use events::{Status, Task, TaskEvent};

use super::{Refusal, transition::transition};

/// Begin the task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StartTask;

impl StartTask {
    pub(super) fn decide(self, task: &Task) -> Result<Vec<TaskEvent>, Refusal> {
        Ok(transition(task, Status::InProgress)?.into_iter().collect())
    }
}

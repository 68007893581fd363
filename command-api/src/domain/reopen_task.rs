//! Opens a task again.

use events::{Status, Task, TaskEvent};

use super::{Refusal, transition::transition};

/// Open the task again; also for a task in progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReopenTask;

impl ReopenTask {
    pub(super) fn decide(self, task: &Task) -> Result<Vec<TaskEvent>, Refusal> {
        Ok(transition(task, Status::Open)?.into_iter().collect())
    }
}

//! The allowed changes of status.

use events::{Status, Task, TaskCancelled, TaskCompleted, TaskEvent, TaskReopened, TaskStarted};

use super::Refusal;

/// The event that brings `task` to the status `to`; `None` when it is there already.
///
/// open → in_progress, done, cancelled; in_progress → open, done, cancelled; done, cancelled → open.
///
/// # Errors
/// [`Refusal::IllegalTransition`] for every other pair.
pub(super) fn transition(task: &Task, to: Status) -> Result<Option<TaskEvent>, Refusal> {
    let from = task.status;
    if from == to {
        return Ok(None);
    }
    match (from, to) {
        (Status::Open, Status::InProgress) => Ok(Some(TaskStarted {}.into())),
        (Status::Open | Status::InProgress, Status::Done) => Ok(Some(TaskCompleted {}.into())),
        (Status::Open | Status::InProgress, Status::Cancelled) => Ok(Some(TaskCancelled {}.into())),
        (_, Status::Open) => Ok(Some(TaskReopened {}.into())),
        (_, Status::InProgress | Status::Done | Status::Cancelled) => {
            Err(Refusal::IllegalTransition { from, to })
        }
    }
}

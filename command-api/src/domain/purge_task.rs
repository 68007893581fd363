//! Removes a task from the trash for good.

use events::{Task, TaskEvent, TaskPurged, Timestamp};

/// The events that purge `task` if it has been in the trash since `deleted_before` or longer. There is no caller and
/// no refusal: any other task stays unchanged.
#[must_use]
pub(crate) fn purge(task: &Task, deleted_before: Timestamp) -> Vec<TaskEvent> {
    if task.deleted_at.is_some_and(|deleted_at| deleted_at <= deleted_before) {
        vec![TaskPurged {}.into()]
    } else {
        Vec::new()
    }
}

//! Takes a task out of the trash for good.

use events::{Task, TaskEvent, TaskPurged, Timestamp};

/// What happens to `task` when what has been in the trash since `deleted_before` or longer goes for good. Nobody asks for it, so that
/// nobody is refused: a task that is not in the trash, or not long enough, stays as it is.
#[must_use]
pub fn purge(task: &Task, deleted_before: Timestamp) -> Vec<TaskEvent> {
    if task
        .deleted_at
        .is_some_and(|deleted_at| deleted_at <= deleted_before)
    {
        vec![TaskPurged {}.into()]
    } else {
        Vec::new()
    }
}

//! The refusals of the business rules: facts with their data. Knows nothing of how clients see them.

use events::{Status, TaskId, UserId};
use serde::{Deserialize, Serialize};

/// Why a command has no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// There is no such task.
    #[error("there is no task {id}")]
    TaskNotFound { id: TaskId },
    /// The task belongs to someone else.
    #[error("task {id} belongs to {owner}")]
    NotOwner {
        id: TaskId,
        /// The owner, who is never shown to the caller.
        owner: UserId,
    },
    /// The task is in the trash.
    #[error("task {id} is deleted")]
    TaskIsDeleted { id: TaskId },
    /// A task with this id exists already.
    #[error("task {id} exists already")]
    TaskExists { id: TaskId },
    /// The task is at another version than the caller expected.
    #[error("the task is at version {actual}")]
    VersionMismatch {
        /// The version of the task.
        actual: u64,
    },
    /// The task was never at this version.
    #[error("the task was never at version {version}")]
    NoSuchVersion {
        /// The wanted version.
        version: u64,
    },
    /// A field that is to be undone was changed again since.
    #[error("the task was changed since")]
    ChangedSince,
    /// The status of the task does not allow the change.
    #[error("a task cannot go from {from:?} to {to:?}")]
    IllegalTransition {
        /// The status of the task.
        from: Status,
        /// The wanted status.
        to: Status,
    },
}

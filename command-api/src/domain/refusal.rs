//! The refusals of the business rules: facts with their data. Knows nothing of how clients see them.

use events::{Status, TaskId, UserId};
use serde::{Deserialize, Serialize};

/// Why a command has no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    #[error("there is no task {id}")]
    TaskNotFound { id: TaskId },
    #[error("task {id} belongs to {owner}")]
    NotOwner {
        id: TaskId,
        /// The owner, who is never shown to the caller.
        owner: UserId,
    },
    #[error("task {id} is deleted")]
    TaskIsDeleted { id: TaskId },
    #[error("task {id} exists already")]
    TaskExists { id: TaskId },
    #[error("the task is at version {actual}")]
    VersionMismatch { actual: u64 },
    #[error("the task was never at version {version}")]
    NoSuchVersion { version: u64 },
    /// A field that is to be undone was changed again since.
    #[error("the task was changed since")]
    ChangedSince,
    #[error("a task cannot go from {from:?} to {to:?}")]
    IllegalTransition { from: Status, to: Status },
}

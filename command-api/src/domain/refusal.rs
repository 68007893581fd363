//! Why the business says no. Facts with their data; it must not know how they are told to a client.

use events::{Status, TaskId, UserId};
use serde::{Deserialize, Serialize};

/// Why a command has no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// There never was such a task.
    #[error("there is no task {id}")]
    TaskNotFound { id: TaskId },
    /// It is someone else's.
    #[error("task {id} belongs to {owner}")]
    NotOwner {
        id: TaskId,
        /// Whose it is. Never told to the caller.
        owner: UserId,
    },
    /// It is in the trash.
    #[error("task {id} is deleted")]
    TaskIsDeleted { id: TaskId },
    /// A creation met a task.
    #[error("task {id} exists already")]
    TaskExists { id: TaskId },
    /// The task is at another version than the caller expected.
    #[error("the task is at version {actual}")]
    VersionMismatch {
        /// Where it is.
        actual: u64,
    },
    /// The task was never at this version.
    #[error("the task was never at version {version}")]
    NoSuchVersion {
        /// The version wanted.
        version: u64,
    },
    /// What is to be taken back was changed again since.
    #[error("the task was changed since")]
    ChangedSince,
    /// Its status does not allow it.
    #[error("a task cannot go from {from:?} to {to:?}")]
    IllegalTransition {
        /// Where it stands.
        from: Status,
        /// Where it was to go.
        to: Status,
    },
}

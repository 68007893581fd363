//! The facts for a decision besides the task's state.

use events::{TaskId, UserId};

/// The versions of the task that the caller accepts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ExpectedVersion {
    #[default]
    Any,
    OneOf(Vec<u64>),
    NoneOf(Vec<u64>),
}

impl ExpectedVersion {
    /// Whether a task at `version` may be changed.
    pub fn allows(&self, version: u64) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(versions) => versions.contains(&version),
            Self::NoneOf(versions) => !versions.contains(&version),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Context {
    /// The task that the command is about.
    pub task: TaskId,
    pub caller: UserId,
    /// The versions that the caller accepts; ignored for creations.
    pub expected: ExpectedVersion,
}

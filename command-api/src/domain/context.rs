//! What a decision knows besides the task's state.

use events::{TaskId, UserId};

/// Which versions of the task the caller is willing to change.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ExpectedVersion {
    /// Whatever is there.
    #[default]
    Any,
    /// One of these.
    OneOf(Vec<u64>),
    /// None of these.
    NoneOf(Vec<u64>),
}

impl ExpectedVersion {
    /// Whether a task at `version` may be changed.
    #[must_use]
    pub fn allows(&self, version: u64) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(versions) => versions.contains(&version),
            Self::NoneOf(versions) => !versions.contains(&version),
        }
    }
}

/// What a decision knows besides the task's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// Which task the command is about.
    pub task: TaskId,
    pub caller: UserId,
    /// Which versions the caller is willing to change; creations ignore it.
    pub expected: ExpectedVersion,
}

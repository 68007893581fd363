//! The errors of commands.

use aggregate::RepositoryError;
use event_store::StoreError;
use events::{CodecError, ConsistencyToken};

use super::TaskState;
use crate::domain::Refusal;

/// Why a command had no effect, or its result is unknown.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    #[error("refused: {refusal}")]
    Refused {
        #[source]
        refusal: Refusal,
        /// The state that it was refused on; `None` when the caller must not know it.
        seen: Option<ConsistencyToken>,
    },
    /// Others kept changing the task. The caller may try again.
    #[error("others kept changing the task, {conflicts} times in a row")]
    Contended { conflicts: u32 },
    /// The result of an earlier command of the same batch on the same task is unknown, so this one was not tried.
    #[error("an earlier command on the task could not be carried out")]
    HeldUp,
    /// Other work uses all capacity. The caller may try again later.
    #[error("too many commands wait")]
    Overloaded,
    #[error("the past of the task takes too long to read")]
    PastTooLong,
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The task's stream holds an event that this build cannot read.
    #[error("the history of the task cannot be read")]
    Unreadable(#[from] CodecError),
}

impl From<RepositoryError> for CommandError {
    fn from(error: RepositoryError) -> Self {
        match error {
            RepositoryError::Store(error) => Self::Store(error),
            RepositoryError::Unreadable(error) => Self::Unreadable(error),
            RepositoryError::Contended { conflicts, .. } => Self::Contended { conflicts },
            RepositoryError::Overloaded => Self::Overloaded,
        }
    }
}

impl CommandError {
    /// Whether the command could not be carried out, so that its result may be unknown. A refusal is a result.
    pub(super) fn is_failure(&self) -> bool {
        match self {
            Self::Refused { .. } => false,
            Self::Contended { .. }
            | Self::HeldUp
            | Self::Overloaded
            | Self::PastTooLong
            | Self::Store(_)
            | Self::Unreadable(_) => true,
        }
    }

    /// A refusal on `state`, without the state if the caller may not see the task.
    pub(super) fn refused(refusal: Refusal, state: Option<&TaskState>) -> Self {
        let seen = match refusal {
            Refusal::VersionMismatch { .. }
            | Refusal::IllegalTransition { .. }
            | Refusal::NoSuchVersion { .. }
            | Refusal::ChangedSince
            | Refusal::TaskIsDeleted { .. } => state.map(TaskState::token),
            Refusal::TaskNotFound { .. } | Refusal::NotOwner { .. } | Refusal::TaskExists { .. } => None,
        };
        Self::Refused { refusal, seen }
    }
}

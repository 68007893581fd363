//! What can keep the projector from going on.

use database::DatabaseError;
use event_store::StoreError;

use crate::projecting::apply::ApplyError;

/// Why a step of a projection failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProjectError {
    /// The batch was not applied.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// A checkpoint names an event that the log does not have.
    #[error("the read models were projected from another history of the log")]
    OtherLog,
    /// What was read from the log is not there any more: the log has lost its end.
    #[error("the log has lost what was read from it: it is read again")]
    LostTail,
    /// The log cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<DatabaseError> for ProjectError {
    fn from(error: DatabaseError) -> Self {
        Self::Apply(error.into())
    }
}

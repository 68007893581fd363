//! Why the projector cannot continue.

use database::DatabaseError;
use event_store::StoreError;

use crate::projecting::apply::ApplyError;

#[derive(Debug, thiserror::Error)]
pub(crate) enum ProjectError {
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// A checkpoint names an event that the log does not have.
    #[error("the read models were projected from another history of the log")]
    OtherLog,
    #[error("the log has lost what was read from it: it is read again")]
    LostTail,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<DatabaseError> for ProjectError {
    fn from(error: DatabaseError) -> Self {
        Self::Apply(error.into())
    }
}

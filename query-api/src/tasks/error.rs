//! Why tasks cannot be read.

use database::DatabaseError;
use event_store::StoreError;
use http_api::BadCursor;

#[derive(Debug, thiserror::Error)]
pub(crate) enum QueryError {
    #[error(transparent)]
    Cursor(#[from] BadCursor),
    #[error("the log is not the one that the token is from")]
    OtherLog,
    /// There is no such task of this person, or it did not exist yet.
    #[error("there is no such task")]
    NotFound,
    /// The task was projected by a release that kept no history.
    #[error("the history of the task is not complete")]
    HistoryIncomplete,
    #[error("the query took too long")]
    TooSlow,
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

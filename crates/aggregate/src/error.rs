//! Why a command did not take effect.

use event_store::StoreError;
use events::{CodecError, StreamName};

/// Something underneath failed.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    /// The event store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The stream holds an event that this build cannot read.
    #[error(transparent)]
    Unreadable(#[from] CodecError),
    /// Somebody else was faster, every time. Worth another try.
    #[error("{conflicts} attempts to append to {stream} met a conflict")]
    Contended {
        /// The stream that holds the record.
        stream: StreamName,
        /// How often it was tried.
        conflicts: u32,
    },
    /// Too many streams are read at the moment. Worth another try later.
    #[error("too many streams are read at the moment")]
    Overloaded,
}

/// Why a command did nothing.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError<R> {
    /// The rules say no.
    #[error("refused: {0}")]
    Refused(R),
    /// Something underneath failed.
    #[error(transparent)]
    Failed(#[from] RepositoryError),
}

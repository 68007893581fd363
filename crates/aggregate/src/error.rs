//! The errors of commands.

use event_store::StoreError;
use events::{CodecError, StreamName};

/// The store failed, or the aggregate cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    /// The event store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The stream holds an event that this build cannot read.
    #[error(transparent)]
    Unreadable(#[from] CodecError),
    /// Every attempt met a conflict. The caller may try again.
    #[error("{conflicts} attempts to append to {stream} met a conflict")]
    Contended {
        /// The stream that holds the record.
        stream: StreamName,
        /// The number of conflicts.
        conflicts: u32,
    },
    /// Too many streams are being read. The caller may try again later.
    #[error("too many streams are read at the moment")]
    Overloaded,
}

/// Why a command had no effect.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError<R> {
    /// The rules refuse the command.
    #[error("refused: {0}")]
    Refused(R),
    /// The aggregate cannot be read or written.
    #[error(transparent)]
    Failed(#[from] RepositoryError),
}

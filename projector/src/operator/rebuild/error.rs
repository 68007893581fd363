//! The errors of a rebuild.

use std::time::Duration;

use database::DatabaseError;
use event_store::StoreError;

use crate::operator::parking::ParkingError;

/// Why a rebuild failed.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// Another rebuild is running.
    #[error("another rebuild is at work")]
    AtWork,
    /// There are no previous tables.
    #[error("there is nothing to go back to: no rebuild has replaced the read models")]
    NoPrevious,
    /// The log could not be read to its end in time.
    #[error(
        "the tables are at position {position} and did not reach the live ones in time: nothing was changed, try again"
    )]
    Behind {
        /// The position of the tables.
        position: u64,
    },
    /// It was stopped.
    #[error("interrupted: nothing was changed")]
    Interrupted,
    /// An event was discarded after the shadow tables had projected it.
    #[error(
        "the event at position {0} was discarded after these tables had taken it in: nothing was changed; build them again with --restart"
    )]
    Discarded(u64),
    /// The tables come from another history of the log.
    #[error(
        "these tables were projected from another history of the log, before it was restored: nothing was changed; run `taskledger projection rebuild`"
    )]
    OtherLog,
    /// The live tables were locked by others all the time.
    #[error("other transactions did not let go of the live tables in time: nothing was changed, try again")]
    Busy,
    /// The rows of files could not be copied in time.
    #[error(
        "there are too many rows to change places within {} s, for which everybody who projects has to wait: nothing was changed; \
         to build them anew stop the system, delete the file of the read models with its -wal and -shm, and start it again", .0.as_secs()
    )]
    TooLarge(Duration),
    /// An operation on a file failed.
    #[error("cannot {what} {path}: {source}")]
    File {
        /// The operation.
        what: &'static str,
        path: String,
        /// The error of the system.
        #[source]
        source: std::io::Error,
    },
    /// The discarding of an event could not be repeated.
    #[error(transparent)]
    Parking(#[from] ParkingError),
    /// The read models cannot be used.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The log cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for RebuildError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }
}

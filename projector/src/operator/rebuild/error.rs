//! The errors of a rebuild.

use std::time::Duration;

use database::DatabaseError;
use event_store::StoreError;

use crate::{operator::parked_events::ParkingError, projecting::catch_up::OtherLog};

#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    #[error("another rebuild is at work")]
    AlreadyRunning,
    #[error(
        "PostgreSQL has ended the session with the lock of this rebuild, or does not answer, so another rebuild may be at work: the live tables are as they were; run it again to go on"
    )]
    LockLost,
    #[error("there is nothing to go back to: no rebuild has replaced the read models")]
    NoPrevious,
    #[error(
        "the tables are at position {position} and did not reach the live ones in time: nothing was changed, try again"
    )]
    Behind { position: u64 },
    #[error("interrupted: nothing was changed")]
    Interrupted,
    #[error(
        "the event at position {0} was discarded after these tables had taken it in: nothing was changed; build them again with --restart"
    )]
    Discarded(u64),
    #[error(
        "these tables were projected from another history of the log, before it was restored: nothing was changed; run `taskledger projection rebuild`"
    )]
    OtherLog,
    #[error(
        "{next} streams are parked in these tables, and {live} in the live ones: nothing was changed; it was logged why \
         they are, and with --force these tables take over all the same"
    )]
    MoreParked {
        /// The number of parked streams in the live tables.
        live: u64,
        /// The number in the tables that were to take over.
        next: u64,
    },
    #[error("other transactions did not let go of the live tables in time: nothing was changed, try again")]
    Busy,
    #[error(
        "there are too many rows to change places within {} s, for which everybody who projects has to wait: nothing was changed; \
         to build them anew stop the system, delete the file of the read models with its -wal and -shm, and start it again", .0.as_secs()
    )]
    TooLarge(Duration),
    #[error("cannot {what} {path}: {source}")]
    File {
        what: &'static str,
        path: String,
        #[source]
        source: std::io::Error,
    },
    /// The discarding of an event could not be repeated.
    #[error(transparent)]
    Parking(#[from] ParkingError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<OtherLog> for RebuildError {
    fn from(OtherLog: OtherLog) -> Self {
        Self::OtherLog
    }
}

impl From<sqlx::Error> for RebuildError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }
}

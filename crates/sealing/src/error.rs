//! Why a key cannot be had, or a master key not be used.

use std::{io, path::PathBuf};

use database::DatabaseError;

/// Why a key cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The database of keys does not answer.
    #[error("the keys of people cannot be reached: {0}")]
    Database(#[from] DatabaseError),
    /// The log does not answer.
    #[error(transparent)]
    Log(#[from] event_store::StoreError),
    /// A data key is wrapped by a master key that this process does not have.
    #[error(
        "data keys are wrapped by the master key {id}, which is not in {place}: put it there beside the others"
    )]
    OtherMasterKey {
        /// The id of the master key that is missing.
        id: String,
        /// Where this process has its own from.
        place: String,
    },
    /// The data key of somebody is there and cannot be unwrapped.
    #[error("the data key of {0} is damaged: restore it from a backup of the keys")]
    Damaged(events::UserId),
    /// The data key of somebody, about whom there are sealed events, is not there any more.
    #[error("the data key of {0} is lost: restore it from a backup of the keys")]
    Lost(events::UserId),
    /// Somebody has one key here and another one in the database whose keys are copied.
    #[error("{0} has another key here than in the other database: the two are not of the same log")]
    Another(events::UserId),
    /// The data key is gone, and a copy of it may still be in a file beside the database.
    #[error("the database of keys is in use, so that its write-ahead log cannot be emptied: try again")]
    Lingers,
    /// The library refused to encrypt, which it has no reason to.
    #[error("a key cannot be used to encrypt")]
    Unusable,
    /// The file of the master keys cannot be read or written.
    #[error("cannot use the master keys in {}: {source}", path.display())]
    File {
        /// The file that is to blame.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// There is no master key.
    #[error("there is no master key in {0}: restore it from a backup, since data keys are wrapped by it")]
    Missing(String),
    /// What should be master keys is something else.
    #[error("expected master keys in {0}, each of 64 hexadecimal digits, one a line")]
    Malformed(String),
    /// A master key that was made a moment ago may not be known everywhere, or old ones are still needed.
    #[error("{0}")]
    NotRetired(String),
}

/// Somebody's key that cannot be used is about nobody else; everything else is an outage.
impl From<KeyError> for event_store::StoreError {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Damaged(_) | KeyError::Lost(_) => Self::KeyUnusable(error.to_string()),
            KeyError::Log(error) => error,
            other => Self::unavailable(other),
        }
    }
}

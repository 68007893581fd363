//! Why a key is not available, or a master key cannot be used.

use std::{io, path::PathBuf, sync::Arc};

use database::DatabaseError;

/// Why a key is not available.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant has its message")]
pub enum KeyError {
    #[error("the keys of people cannot be reached: {0}")]
    Database(#[from] DatabaseError),
    #[error(transparent)]
    Log(#[from] event_store::StoreError),
    #[error(
        "data keys are wrapped by the master key {id}, which is not in {place}: put it there beside the others"
    )]
    OtherMasterKey { id: String, place: String },
    /// A data key that is to be copied is wrapped by a master key by which nothing may be wrapped any more. Such a row
    /// comes from a backup.
    #[error(
        "the data key of {subject} is wrapped by the master key {id}, which was retired: run `taskledger keys master \
         rotate` where it comes from, with that master key last, and copy again"
    )]
    RetiredMasterKey { subject: events::UserId, id: String },
    #[error("the data key of {0} is damaged: restore it from a backup of the keys")]
    Damaged(events::UserId),
    #[error("the data key of {0} is lost: restore it from a backup of the keys")]
    Lost(events::UserId),
    /// A person has different keys here and in the database from which keys are copied.
    #[error("{0} has another key here than in the other database: the two are not of the same log")]
    Another(events::UserId),
    /// The data key was destroyed, but a copy of it may still be in a file of the database.
    #[error("the database of keys is in use, so that its write-ahead log cannot be emptied: try again")]
    Lingers,
    /// The library refused to encrypt, which should never happen.
    #[error("a key cannot be used to encrypt")]
    Unusable,
    #[error("cannot use the master keys in {}: {source}", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(
        "there is no master key in {0}, and data keys are wrapped by one: restore it from a backup, or set \
         TASKLEDGER_MASTER_KEYS or TASKLEDGER_KEYS_DIR"
    )]
    Missing(String),
    #[error("expected master keys in {0}, each of 64 hexadecimal digits, one a line or separated by commas")]
    Malformed(String),
    #[error(
        "the master keys in {0} cannot be changed, since that is a pipe: let TASKLEDGER_MASTER_KEYS_FILE name a regular \
         file, or give the keys in TASKLEDGER_MASTER_KEYS, the new one first"
    )]
    Pipe(String),
    /// Other processes registered master keys at the same time, again and again.
    #[error("the master key cannot be registered in the database of keys: try again")]
    NotRegistered,
    #[error("another `keys master` command is at work on {0}: wait until it has ended")]
    InUse(String),
    /// The master key that was to wrap keys was removed from the file meanwhile.
    #[error(
        "the master key {id} is no longer in {place}, so nothing more is wrapped by it: run the command again"
    )]
    NoLongerThere { id: String, place: String },
    /// The old master keys cannot be removed yet: the new one may not be known everywhere, or an old one is still
    /// needed.
    #[error("{0}")]
    NotRetired(String),
}

/// An unusable key of one person concerns only that person; every other error is an outage, which trying again may end
/// only if it is the database that does not answer.
impl From<KeyError> for event_store::StoreError {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Damaged(_) | KeyError::Lost(_) => Self::KeyUnusable(error.to_string()),
            KeyError::Log(error) => error,
            KeyError::Database(_) => Self::unavailable(error),
            other => Self::KeysUnavailable(Arc::new(other)),
        }
    }
}

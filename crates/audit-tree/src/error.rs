//! The errors of the audit tree and of its readers.

use std::path::PathBuf;

use database::DatabaseError;
use event_store::StoreError;
use runtime::NoAnswer;
use transparency_log::{CheckpointError, EdgeError, MissingTile, NoteError};

use crate::key_files::KeysUnusable;

/// Why the tree does not grow, or no checkpoint is signed.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant has its message")]
pub enum KeepError {
    #[error("another process keeps the tree")]
    Overtaken,
    #[error(
        "the log does not have the events that the tree has: it was restored, or a standby without them was promoted. \
         Nothing is signed until `taskledger restore check --repair` has begun a tree of a new origin"
    )]
    LostEnd,
    /// A new checkpoint would contradict an earlier one.
    #[error(
        "the tree is not the one that was signed at size {size}: the log, the tree or the last checkpoint in the directory of \
         keys was changed or restored. Nothing is signed; `taskledger audit verify` says what differs"
    )]
    Forked {
        /// The size of the earlier checkpoint.
        size: u64,
    },
    #[error(
        "none of the keys in {} is one that signs the audit tree {origin}: nothing is signed with them. Copy the keys of the \
         projector that signs it to there; when they are lost, make one with `taskledger audit rotate-key` and begin a tree of \
         a new origin with `taskledger restore check --repair`",
        directory.display()
    )]
    StrangeKeys {
        /// Where the keys are that were tried.
        directory: PathBuf,
        /// The origin of the tree.
        origin: String,
    },
    #[error(
        "no event of the log announces the origin {origin} of the audit tree, and the keys in {} have signed {before}: the tree was \
         changed, lost or replaced, or the keys come from elsewhere. Nothing is signed until the audit tree is restored from a backup, \
         with which everything goes on, or, if there is none, `taskledger restore check --repair` has begun a tree of a new origin",
        directory.display()
    )]
    Unannounced {
        /// The origin of the tree.
        origin: String,
        /// The recorded origin.
        before: String,
        /// The directory with the record.
        directory: PathBuf,
    },
    #[error("the tiles of the tree are damaged: {0}. `taskledger audit verify` says what differs")]
    Damaged(String),
    #[error(
        "the record {} of the last signed checkpoint is damaged: {reason}. Nothing is signed until it is restored from a backup of \
         the keys or, if none has it, moved out of this directory: then the one in the database of the tree takes its place, and \
         nobody notices if the log and the tree were both cut before that",
        path.display()
    )]
    DamagedRecord {
        /// The file.
        path: PathBuf,
        /// The reason, for a message.
        reason: String,
    },
    #[error(
        "the record of the last signed checkpoint cannot be read: {}: {reason}. Nothing is signed until it can be",
        path.display()
    )]
    UnreadableRecord {
        /// The file, or its directory.
        path: PathBuf,
        /// The reason, for a message.
        reason: String,
    },
    #[error(transparent)]
    Keys(#[from] KeysUnusable),
    #[error("cannot read the directory of the keys: {0}")]
    NoAnswer(#[from] NoAnswer),
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl KeepError {
    /// Whether retrying is useless until an operator acts.
    pub(crate) fn needs_an_operator(&self) -> bool {
        match self {
            Self::LostEnd
            | Self::Forked { .. }
            | Self::StrangeKeys { .. }
            | Self::Unannounced { .. }
            | Self::Damaged(_)
            | Self::DamagedRecord { .. }
            | Self::UnreadableRecord { .. }
            | Self::Keys(_) => true,
            Self::Overtaken | Self::NoAnswer(_) | Self::Database(_) | Self::Store(_) => false,
        }
    }
}

/// Makes errors of what the tree consists of say that the tree is damaged.
macro_rules! damaged {
    ($name:ident: $($error:ty),+) => {
        $(impl From<$error> for $name {
            fn from(error: $error) -> Self {
                Self::Damaged(error.to_string())
            }
        })+
    };
}
damaged! { KeepError: EdgeError, MissingTile, CheckpointError, NoteError }
damaged! { ReadError: MissingTile, CheckpointError, NoteError }

impl From<ReadError> for KeepError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Damaged(what) => Self::Damaged(what),
            ReadError::Database(error) => Self::Database(error),
            ReadError::Store(error) => Self::Store(error),
        }
    }
}

/// Why the tree cannot be read.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant has its message")]
pub enum ReadError {
    #[error("the audit tree is damaged: {0}")]
    Damaged(String),
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a verification has no result.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant has its message")]
pub enum VerifyError {
    #[error("there is no audit tree yet: start the system once")]
    NoTree,
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("hashing was broken off: {0}")]
    BrokenOff(String),
}

impl From<DatabaseError> for VerifyError {
    fn from(error: DatabaseError) -> Self {
        Self::Read(error.into())
    }
}

impl From<StoreError> for VerifyError {
    fn from(error: StoreError) -> Self {
        Self::Read(error.into())
    }
}

//! The errors of the audit tree and of its readers.

use std::path::PathBuf;

use database::DatabaseError;
use event_store::StoreError;
use transparency_log::{CheckpointError, EdgeError, MissingTile, NoteError};

use crate::key_files::KeysUnusable;

/// Why the tree does not grow, or no checkpoint is signed.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// Another process has let the tree grow meanwhile.
    #[error("another process keeps the tree")]
    Overtaken,
    /// The log does not have events that the tree has.
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
    /// The tree was signed only with other keys.
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
    /// No event of the log announces the origin of the tree.
    #[error(
        "no event of the log announces the origin {origin} of the audit tree, and the keys in {} have signed {before}: the tree was \
         changed or replaced, or the keys come from elsewhere. Nothing is signed until `taskledger restore check --repair` has \
         begun a tree of a new origin",
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
    /// Tiles are missing or damaged.
    #[error("the tiles of the tree are damaged: {0}. `taskledger audit verify` says what differs")]
    Damaged(String),
    /// The keys cannot be used.
    #[error(transparent)]
    Keys(#[from] KeysUnusable),
    /// The tree cannot be read or written.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The log cannot be read.
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
            | Self::Keys(_) => true,
            Self::Overtaken | Self::Database(_) | Self::Store(_) => false,
        }
    }
}

impl From<EdgeError> for KeepError {
    fn from(error: EdgeError) -> Self {
        Self::Damaged(error.to_string())
    }
}

impl From<MissingTile> for KeepError {
    fn from(error: MissingTile) -> Self {
        Self::Damaged(error.to_string())
    }
}

impl From<CheckpointError> for KeepError {
    fn from(error: CheckpointError) -> Self {
        Self::Damaged(error.to_string())
    }
}

impl From<NoteError> for KeepError {
    fn from(error: NoteError) -> Self {
        Self::Damaged(error.to_string())
    }
}

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
pub enum ReadError {
    /// Tiles or checkpoints are missing or damaged.
    #[error("the audit tree is damaged: {0}")]
    Damaged(String),
    /// The tree cannot be read.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The log cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<MissingTile> for ReadError {
    fn from(error: MissingTile) -> Self {
        Self::Damaged(error.to_string())
    }
}

impl From<CheckpointError> for ReadError {
    fn from(error: CheckpointError) -> Self {
        Self::Damaged(error.to_string())
    }
}

impl From<NoteError> for ReadError {
    fn from(error: NoteError) -> Self {
        Self::Damaged(error.to_string())
    }
}

/// Why a verification has no result.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// There is no tree yet.
    #[error("there is no audit tree yet: start the system once")]
    NoTree,
    /// The tree cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The computation was interrupted.
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

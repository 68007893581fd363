//! The request of a log to a witness (C2SP `tlog-witness`): a checkpoint, and the proof that it extends the previous
//! one.

use std::{fmt, str::FromStr};

use crate::{
    hash::Hash,
    note::{Note, NoteError},
    text::{hashes, lines, number},
};

/// The body of `POST add-checkpoint`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// The size of the checkpoint that the witness has cosigned last; 0 if none.
    pub old_size: u64,
    /// The proof that the new tree extends the old one.
    pub proof: Vec<Hash>,
    /// The new checkpoint, signed.
    pub checkpoint: Note,
}

/// Why a body cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddCheckpointError {
    /// It does not have the format of a request.
    #[error("not a request of a log: {0}")]
    Malformed(&'static str),
    /// The checkpoint in it is not a note.
    #[error(transparent)]
    Note(#[from] NoteError),
}

impl fmt::Display for AddCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "old {}\n{}\n{}", self.old_size, lines(&self.proof), self.checkpoint)
    }
}

impl FromStr for AddCheckpoint {
    type Err = AddCheckpointError;

    fn from_str(text: &str) -> Result<Self, AddCheckpointError> {
        let (old, rest) = text.split_once('\n').ok_or(AddCheckpointError::Malformed("it has no lines"))?;
        let old_size = old
            .strip_prefix("old ")
            .and_then(number)
            .ok_or(AddCheckpointError::Malformed("its first line is not `old <size>`"))?;
        let (proof, checkpoint) =
            hashes(rest).ok_or(AddCheckpointError::Malformed("its hashes cannot be read"))?;
        Ok(Self { old_size, proof, checkpoint: checkpoint.parse()? })
    }
}

//! Checkpoints (C2SP `tlog-checkpoint`): a text with the size of a log and its root.

use std::{collections::BTreeSet, fmt, str::FromStr};

use crate::{
    hash::{Hash, empty_root},
    note::{Note, NoteError, Signer, VerifierKey},
    text::number,
};

/// The head of a log's tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The origin, which identifies the log.
    pub origin: String,
    /// The number of leaves.
    pub size: u64,
    /// The root of the tree.
    pub root: Hash,
}

/// Why a checkpoint is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The note is invalid.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The text is not a checkpoint.
    #[error("not a checkpoint: {0}")]
    Malformed(&'static str),
    /// The keys are those of another log, or of another history of it.
    #[error("the checkpoint is of another origin, {found}; that of the keys is {expected}")]
    OtherOrigin {
        /// The origin of the checkpoint.
        found: String,
        /// The names of the keys.
        expected: String,
    },
}

impl Checkpoint {
    /// The checkpoint as a note, signed by `signers`.
    pub fn sign(&self, signers: &[Signer]) -> Note {
        let text = self.to_string();
        let signatures = signers.iter().map(|signer| signer.sign(&text)).collect();
        Note { text, signatures }
    }

    /// The checkpoint in `note`, if one of `keys` has signed it. These are the keys of the log, whose names are its
    /// origin.
    ///
    /// # Errors
    /// When it is not signed, or is not a checkpoint of this log.
    pub fn open(note: &Note, keys: &[VerifierKey]) -> Result<Self, CheckpointError> {
        let checkpoint: Self = note.text.parse()?;
        let origins: BTreeSet<&str> = keys.iter().map(VerifierKey::name).collect();
        // Asked first, because no key of one origin has signed for another.
        if !origins.contains(checkpoint.origin.as_str()) {
            return Err(CheckpointError::OtherOrigin {
                found: checkpoint.origin,
                expected: origins.into_iter().collect::<Vec<_>>().join(" or "),
            });
        }
        note.verify(keys)?;
        Ok(checkpoint)
    }
}

impl fmt::Display for Checkpoint {
    /// The text of the note.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, self.root)
    }
}

impl FromStr for Checkpoint {
    type Err = CheckpointError;

    /// Parses the text of a note. Lines after the third are extensions, which are ignored.
    fn from_str(text: &str) -> Result<Self, CheckpointError> {
        let malformed = |what| Err(CheckpointError::Malformed(what));
        let Some(text) = text.strip_suffix('\n') else {
            return malformed("its last line does not end");
        };
        let mut lines = text.split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return malformed("it has fewer than three lines");
        };
        if origin.is_empty() || lines.any(str::is_empty) {
            return malformed("a line is empty");
        }
        let Some(size) = number(size) else {
            return malformed("its second line is not a size");
        };
        let Ok(root) = root.parse() else {
            return malformed("its third line is not a hash");
        };
        if size == 0 && root != empty_root() {
            return malformed("it has no leaves, but a root");
        }
        Ok(Self { origin: origin.to_owned(), size, root })
    }
}

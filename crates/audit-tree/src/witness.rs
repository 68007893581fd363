//! A witness (C2SP `tlog-witness`): it cosigns what logs show it, as long as each of them only grows. Two people who both see
//! its cosignature have been shown the same log.

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use events::sha256;
use runtime::Clock;
use transparency_log::{
    AddCheckpoint, Algorithm, Checkpoint, Note, Signer, VerifierKey, cosign, empty_root, verify_consistency,
};

use crate::{KeepError, KeysUnusable, LastSigned, SigningKeys};

/// What it cosigns with, and for whom.
pub struct Witness {
    signer: Signer,
    logs: Vec<VerifierKey>,
    last: LastSigned,
    clock: Arc<dyn Clock>,
    /// Looking at the last checkpoint and replacing it is one step.
    turn: Mutex<()>,
}

/// Why it does not cosign.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The request cannot be read.
    #[error("{0}")]
    Malformed(String),
    /// It is of no log that this witness knows.
    #[error("no log of this origin is known here")]
    UnknownOrigin,
    /// No key of the log has signed it.
    #[error("the checkpoint is not signed by its log")]
    Untrusted,
    /// The log does not know what was cosigned last.
    #[error("the last checkpoint cosigned has {size} leaves")]
    Conflict {
        /// The size of what was cosigned last.
        size: u64,
    },
    /// The log has another tree of the size of what was cosigned last.
    #[error("the last checkpoint cosigned has {size} leaves, too, and another root")]
    OtherRoot {
        /// The size of both.
        size: u64,
    },
    /// The log did not only grow, or does not prove it.
    #[error("the checkpoint does not go on from the last one that was cosigned")]
    Inconsistent,
    /// What was cosigned last cannot be read or written.
    #[error("{0}")]
    Failed(String),
}

impl From<KeepError> for Refused {
    fn from(error: KeepError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

impl Witness {
    /// A witness of this name for these logs. Its key and what it has cosigned last are in `directory`; the key is made there
    /// when there is none.
    ///
    /// # Errors
    /// When the key cannot be used.
    pub fn open(
        directory: &Path,
        name: &str,
        logs: Vec<VerifierKey>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, KeysUnusable> {
        Ok(Self {
            signer: SigningKeys::open(directory)?.newest(name, Algorithm::Cosignature)?,
            logs,
            last: LastSigned::new(directory),
            clock,
            turn: Mutex::new(()),
        })
    }

    /// Its public key.
    #[must_use]
    pub fn key(&self) -> &VerifierKey {
        self.signer.verifier()
    }

    /// Cosigns the checkpoint of an `add-checkpoint` request, and returns the line of signature. Waits for the disk.
    ///
    /// # Errors
    /// When it must not.
    pub fn add_checkpoint(&self, request: &str) -> Result<String, Refused> {
        let AddCheckpoint {
            old_size,
            proof,
            checkpoint: note,
        } = request
            .parse()
            .map_err(|error| Refused::Malformed(format!("{error}")))?;
        let origin = note.text.split('\n').next().unwrap_or_default();
        let keys: Vec<_> = self
            .logs
            .iter()
            .filter(|key| key.name() == origin)
            .cloned()
            .collect();
        if keys.is_empty() {
            return Err(Refused::UnknownOrigin);
        }
        note.verify(&keys).map_err(|_| Refused::Untrusted)?;
        let checkpoint: Checkpoint = note.text.parse().map_err(|_| Refused::Inconsistent)?;
        if old_size > checkpoint.size {
            return Err(Refused::Malformed(
                "the old size is larger than the new one".to_owned(),
            ));
        }
        // What it guards is on the disk, and written whole.
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let last = self.last.checkpoint(origin)?;
        let (size, root) = last.map_or((0, empty_root()), |last| (last.size, last.root));
        if old_size != size {
            return Err(Refused::Conflict { size });
        }
        if checkpoint.size == size && checkpoint.root != root {
            return Err(Refused::OtherRoot { size });
        }
        verify_consistency(size, &root, checkpoint.size, &checkpoint.root, &proof)
            .map_err(|_| Refused::Inconsistent)?;
        let seconds = u64::try_from(self.clock.now().as_seconds()).unwrap_or_default();
        let cosignature = cosign(&self.signer, &note.text, seconds);
        // Signatures of others say nothing that was checked here.
        let mut kept = Note {
            signatures: note
                .signatures
                .into_iter()
                .filter(|it| keys.iter().any(|key| key.is_of(it)))
                .collect(),
            text: note.text.clone(),
        };
        kept.signatures.push(cosignature.clone());
        self.last.write(&checkpoint.origin, &kept)?;
        Ok(format!("{cosignature}\n"))
    }

    /// The last checkpoint that was cosigned of the log with this hash of its origin, in hexadecimal.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn checkpoint(&self, origin_hash: &str) -> Result<Option<Note>, KeepError> {
        let known = self
            .logs
            .iter()
            .find(|key| sha256(key.name().as_bytes()) == origin_hash);
        known.map_or(Ok(None), |key| self.last.read(key.name()))
    }
}

#[cfg(test)]
mod tests;

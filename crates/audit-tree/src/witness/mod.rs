//! A witness (C2SP `tlog-witness`): it cosigns the checkpoints of logs, as long as each log only grows. Two clients
//! that see its cosignature have seen the same log.

use std::{fs::File, io, path::Path, sync::Arc};

use events::sha256;
use parking_lot::Mutex;
use runtime::{Clock, private_files};
use transparency_log::{
    AddCheckpoint, Algorithm, Checkpoint, Note, Signer, VerifierKey, cosign, empty_root, verify_consistency,
};

use crate::{KeepError, KeysUnusable, LastSigned, SigningKeys};

/// The name of the file that the one witness of a directory locks.
const LOCK: &str = "witness.lock";

/// The keys of a witness and the logs that it accepts.
pub struct Witness {
    signer: Signer,
    logs: Vec<VerifierKey>,
    last: LastSigned,
    clock: Arc<dyn Clock>,
    /// Comparing the last checkpoint and replacing it is one step.
    turn: Mutex<()>,
    /// Another process does neither meanwhile.
    _lock: File,
}

/// Why a checkpoint is not cosigned.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant has its message")]
pub enum Refused {
    /// The request cannot be read.
    #[error("{0}")]
    Malformed(String),
    #[error("no log of this origin is known here")]
    UnknownOrigin,
    #[error("the checkpoint is not signed by its log")]
    Untrusted,
    /// The client does not know the checkpoint that was cosigned last.
    #[error("the last checkpoint cosigned has {size} leaves")]
    Conflict {
        /// The size of that checkpoint.
        size: u64,
    },
    #[error("the last checkpoint cosigned has {size} leaves, too, and another root")]
    OtherRoot {
        /// That size.
        size: u64,
    },
    #[error("the checkpoint does not go on from the last one that was cosigned")]
    Inconsistent,
    /// The checkpoint that was cosigned last cannot be read or written.
    #[error("{0}")]
    Failed(String),
}

impl From<KeepError> for Refused {
    fn from(error: KeepError) -> Self {
        Self::Failed(match error {
            // A witness that forgot its last checkpoint would cosign another history of the log.
            KeepError::DamagedRecord { path, reason } => {
                format!("the record {} of the last cosigned checkpoint is damaged: {reason}", path.display())
            }
            error => error.to_string(),
        })
    }
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

impl Witness {
    /// Opens a witness of this name for these logs. Its key and its last checkpoints are in `directory`, which one
    /// process uses at a time; a missing key is created.
    ///
    /// # Errors
    /// When the key cannot be used, or another witness uses the directory.
    pub fn open(
        directory: &Path,
        name: &str,
        logs: Vec<VerifierKey>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, KeysUnusable> {
        let signer = SigningKeys::open(directory)?.newest(name, Algorithm::Cosignature)?;
        let unusable = |reason: String| KeysUnusable { path: directory.to_owned(), reason, kind: None };
        let lock = private_files::open_locked(&directory.join(LOCK));
        let lock = lock.map_err(|error| unusable(error.to_string()))?;
        Ok(Self {
            signer,
            logs,
            last: LastSigned::new(directory),
            clock,
            turn: Mutex::new(()),
            _lock: lock.ok_or_else(|| unusable("another witness uses this directory".to_owned()))?,
        })
    }

    /// The public key.
    pub fn key(&self) -> &VerifierKey {
        self.signer.verifier()
    }

    /// Cosigns the checkpoint of an `add-checkpoint` request, and returns the line with the signature. Blocks until
    /// it is on disk.
    ///
    /// # Errors
    /// When the checkpoint is refused.
    pub fn add_checkpoint(&self, request: &str) -> Result<String, Refused> {
        let AddCheckpoint { old_size, proof, checkpoint: note } =
            request.parse().map_err(|error| Refused::Malformed(format!("{error}")))?;
        let origin = note.text.split('\n').next().unwrap_or_default();
        let keys: Vec<_> = self.logs.iter().filter(|key| key.name() == origin).cloned().collect();
        if keys.is_empty() {
            return Err(Refused::UnknownOrigin);
        }
        note.verify(&keys).map_err(|_| Refused::Untrusted)?;
        let checkpoint: Checkpoint = note.text.parse().map_err(|_| Refused::Inconsistent)?;
        if old_size > checkpoint.size {
            return Err(Refused::Malformed("the old size is larger than the new one".to_owned()));
        }
        let _turn = self.turn.lock();
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
        // Other signatures were not verified here and are not kept.
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

    /// The last cosigned checkpoint of a log, which is given by the hash of its origin in hexadecimal.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn checkpoint(&self, origin_hash: &str) -> Result<Option<Note>, KeepError> {
        let known = self.logs.iter().find(|key| sha256(key.name().as_bytes()) == origin_hash);
        known.map_or(Ok(None), |key| self.last.read(key.name()))
    }
}

#[cfg(test)]
mod tests;

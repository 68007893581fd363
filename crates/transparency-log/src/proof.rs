//! Proofs as texts (C2SP `tlog-proof`): an entry is in a log. They can be verified with the log's public key.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::{
    checkpoint::{Checkpoint, CheckpointError},
    hash::Hash,
    note::{Note, VerifierKey},
    text::{hashes, lines, number},
    tree::{InvalidProof, verify_inclusion},
};

const HEAD: &str = "c2sp.org/tlog-proof@v1\n";

/// A proof that a leaf is in the tree of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InclusionProof {
    /// The index of the leaf.
    pub index: u64,
    /// The siblings on the way to the root, from the leaf up.
    pub hashes: Vec<Hash>,
    /// The checkpoint, with its signatures.
    pub checkpoint: Note,
    /// Additional data, such as the entry itself. It is not proved, unless the leaf is made of it.
    pub extra: Option<Vec<u8>>,
}

/// Why a proof is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each variant has its message")]
pub enum ProofError {
    #[error("not a tlog-proof: {0}")]
    Malformed(&'static str),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error("the log of the checkpoint does not have this entry at this place")]
    Inclusion(#[from] InvalidProof),
}

impl InclusionProof {
    /// Verifies that the leaf with this hash is at the index of the proof, in the log of `keys`.
    ///
    /// # Errors
    /// When it is not.
    pub fn verify(&self, leaf: Hash, keys: &[VerifierKey]) -> Result<Checkpoint, ProofError> {
        let checkpoint = Checkpoint::open(&self.checkpoint, keys)?;
        verify_inclusion(leaf, self.index, checkpoint.size, &self.hashes, &checkpoint.root)?;
        Ok(checkpoint)
    }
}

impl fmt::Display for InclusionProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HEAD)?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", STANDARD.encode(extra))?;
        }
        write!(f, "index {}\n{}\n{}", self.index, lines(&self.hashes), self.checkpoint)
    }
}

impl FromStr for InclusionProof {
    type Err = ProofError;

    fn from_str(text: &str) -> Result<Self, ProofError> {
        let rest = text.strip_prefix(HEAD).ok_or(ProofError::Malformed("its first line is another"))?;
        let (line, rest) = rest.split_once('\n').unwrap_or((rest, ""));
        let extra = line.strip_prefix("extra ").map(|extra| STANDARD.decode(extra));
        let extra =
            extra.transpose().map_err(|_| ProofError::Malformed("what is added to it is not Base64"))?;
        let (line, rest) = match extra {
            Some(_) => rest.split_once('\n').unwrap_or((rest, "")),
            None => (line, rest),
        };
        let index = line
            .strip_prefix("index ")
            .and_then(number)
            .ok_or(ProofError::Malformed("it does not say at which index"))?;
        let (hashes, checkpoint) = hashes(rest).ok_or(ProofError::Malformed("its hashes cannot be read"))?;
        Ok(Self { index, hashes, checkpoint: checkpoint.parse().map_err(CheckpointError::from)?, extra })
    }
}

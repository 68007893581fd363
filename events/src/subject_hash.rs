//! A short hash of a subject, for places where the id would be too long or would reveal too much.

use sha2::{Digest, Sha256};

use crate::UserId;

/// The first four bytes of the subject id's SHA-256: stable across releases, platforms and partition counts.
pub(crate) fn subject_hash(subject: UserId) -> u32 {
    let digest = Sha256::digest(subject.0.as_bytes());
    u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]])
}

//! Signs texts that clients send back unchanged: cursors and tokens. Every replica has the same key.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use sha2::Sha256;

use crate::{ProblemCode, problem::Problem};

/// A tag of HMAC-SHA-256 cut to 128 bits (RFC 2104, section 5).
const TAG_BYTES: usize = 16;
const SHA_256_BLOCK_BYTES: usize = 64;

/// The text is not a cursor of this query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor of this query: send it back as it came, with everything else that the query had")]
pub struct BadCursor;

/// The key that signs.
#[derive(Clone)]
pub struct CursorKey([u8; 32]);

impl From<BadCursor> for Problem {
    fn from(error: BadCursor) -> Self {
        Self::new(ProblemCode::BadCursor).detail(error.to_string())
    }
}

impl std::fmt::Debug for CursorKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CursorKey(…)")
    }
}

impl CursorKey {
    /// A key of 32 random bytes.
    pub const fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// Encodes `bytes` as a text that is valid only for this `purpose` and this `binding`, for example a person and a
    /// query.
    pub fn seal(&self, purpose: &str, binding: &impl Serialize, mut bytes: Vec<u8>) -> String {
        let tag = self.mac(&bytes, purpose, binding).finalize().into_bytes();
        bytes.extend_from_slice(&tag[..TAG_BYTES]);
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The bytes of a text.
    ///
    /// # Errors
    /// When it was not written by [`Self::seal`] for the same purpose and binding.
    pub fn open(&self, purpose: &str, binding: &impl Serialize, text: &str) -> Result<Vec<u8>, BadCursor> {
        let mut bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| BadCursor)?;
        let (signed, tag) = bytes.split_last_chunk::<TAG_BYTES>().ok_or(BadCursor)?;
        self.mac(signed, purpose, binding).verify_truncated_left(tag).map_err(|_| BadCursor)?;
        bytes.truncate(bytes.len() - TAG_BYTES);
        Ok(bytes)
    }

    fn mac(&self, signed: &[u8], purpose: &str, binding: &impl Serialize) -> Hmac<Sha256> {
        // Plain structs, sets and texts: writing them as JSON cannot fail.
        let binding = serde_json::to_vec(binding).unwrap_or_default();
        // HMAC pads a short key with zeros to the block size of its hash (RFC 2104, section 2).
        let mut key = [0; SHA_256_BLOCK_BYTES];
        key[..self.0.len()].copy_from_slice(&self.0);
        let mut mac = Hmac::<Sha256>::new(&key.into());
        mac.update(b"taskledger ");
        mac.update(purpose.as_bytes());
        mac.update(&(binding.len() as u64).to_be_bytes());
        mac.update(&binding);
        mac.update(signed);
        mac
    }
}

//! Opaque tokens: some content to find the stream, 256 random bits, and a tag that only auth can make, so that
//! knowing the content is not enough.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use events::{SecretHash, sha256};
use zeroize::Zeroizing;

use crate::keys::{Pepper, Purpose, TAG_BYTES};

const SECRET_BYTES: usize = 32;
/// The longest content, with the additions.
const MAX_BYTES: usize = 128;

/// A new text with `content`, as base64url.
pub(super) fn make(purpose: Purpose, content: &[u8], pepper: &Pepper) -> Zeroizing<String> {
    let mut secret = Zeroizing::new([0; SECRET_BYTES]);
    runtime::fill_random(secret.as_mut_slice());
    let mut bytes = Zeroizing::new([content, secret.as_slice()].concat());
    let tag = pepper.tag(purpose, &bytes);
    bytes.extend_from_slice(&tag);
    Zeroizing::new(BASE64URL.encode(bytes.as_slice()))
}

/// The content of a text that was made here for `purpose`.
pub(super) fn read<const CONTENT: usize>(
    purpose: Purpose,
    text: &str,
    pepper: &Pepper,
) -> Option<[u8; CONTENT]> {
    let expected = CONTENT + SECRET_BYTES + TAG_BYTES;
    let mut bytes = Zeroizing::new([0; MAX_BYTES]);
    // Each token has only one text: the decoder requires that the spare bits at the end are zero.
    if text.len() != (expected * 4).div_ceil(3)
        || BASE64URL.decode_slice(text, bytes.as_mut_slice()).ok()? != expected
    {
        return None;
    }
    let (content, tag) = bytes[..expected].split_at(expected - TAG_BYTES);
    if !constant_time_eq(&pepper.tag(purpose, content), tag) {
        return None;
    }
    bytes[..CONTENT].try_into().ok()
}

/// The text of a token for its holder. It is never shown.
pub(crate) struct TokenText(pub(super) Zeroizing<String>);

impl TokenText {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Hex SHA-256, for the log. It needs no salt, because the token has 256 random bits.
    pub(crate) fn hash(&self) -> SecretHash {
        sha256(self.0.as_bytes()).into()
    }
}

impl fmt::Debug for TokenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenText(…)")
    }
}

/// Compares two texts in a time that does not depend on where they differ.
pub(crate) fn constant_time_eq(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && left.iter().zip(right).fold(0, |all, (l, r)| all | (l ^ r)) == 0
}

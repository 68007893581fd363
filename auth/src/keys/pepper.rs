//! The pepper: without it nobody can compute the name of an address's stream, or invent a refresh token or program
//! token.

use std::fmt;

use events::EmailAddress;
use hmac::{Hmac, KeyInit, Mac};
use http_api::CursorKey;
use sha2::Sha256;
use zeroize::Zeroizing;

/// The length of a tag in bytes, too long to guess.
pub(crate) const TAG_BYTES: usize = 16;

/// The purpose of a tag. A tag is valid for one purpose only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    RefreshToken,
    ProgramToken,
    /// Fingerprints of clients.
    Client,
    ResetToken,
    /// Logins that wait for a second factor.
    MfaToken,
}

impl Purpose {
    /// The first part of the tag's input. No address contains a NUL, so no tag equals the key of an address.
    const fn label(self) -> &'static [u8] {
        match self {
            Self::RefreshToken => b"refresh-token\0",
            Self::ProgramToken => b"program-token\0",
            Self::ResetToken => b"reset-token\0",
            Self::Client => b"client\0",
            Self::MfaToken => b"mfa-token\0",
        }
    }
}

/// 32 random bytes, as the key of an HMAC.
pub(crate) struct Pepper {
    keyed: Hmac<Sha256>,
}

/// The hex HMAC-SHA-256 of the canonical form of an address: the key of its stream.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct EmailKey(pub(crate) String);

impl Pepper {
    /// A new pepper, as the text of its file.
    pub(crate) fn generate() -> Zeroizing<String> {
        let mut bytes = Zeroizing::new([0; 32]);
        runtime::fill_random(bytes.as_mut_slice());
        Zeroizing::new(format!("{}\n", hex::encode(bytes.as_slice())))
    }

    /// Parses the text of [`Self::generate`].
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut bytes = Zeroizing::new([0; 32]);
        hex::decode_to_slice(text.trim(), bytes.as_mut_slice()).ok()?;
        let keyed = Hmac::<Sha256>::new_from_slice(bytes.as_slice()).ok()?;
        Some(Self { keyed })
    }

    /// The key of an address's stream.
    pub(crate) fn key_of(&self, email: &EmailAddress) -> EmailKey {
        EmailKey(hex::encode(self.hmac(&[email.canonical().as_bytes()])))
    }

    /// A tag that proves that `content` was made here for `purpose`.
    pub(crate) fn tag(&self, purpose: Purpose, content: &[u8]) -> [u8; TAG_BYTES] {
        let mut tag = [0; TAG_BYTES];
        let hmac = self.hmac(&[purpose.label(), content]);
        tag.copy_from_slice(&hmac[..TAG_BYTES]);
        tag
    }

    /// The key for counting attempts at `content` of the kind `of`. It reveals neither.
    pub(crate) fn key_of_attempts(&self, of: &str, content: &[u8]) -> String {
        hex::encode(&self.hmac(&[b"attempts\0", of.as_bytes(), b"\0", content])[..TAG_BYTES])
    }

    /// The key that encrypts the secrets of second factors. The log alone does not have it.
    pub(crate) fn cipher_key(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.hmac(&[b"seal-second-factor\0"]))
    }

    /// The key that signs cursors. It is the same in every replica.
    pub(crate) fn cursor_key(&self) -> CursorKey {
        CursorKey::new(self.hmac(&[b"cursor\0"]))
    }

    fn hmac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = self.keyed.clone();
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pepper(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_address_has_the_same_key_under_the_same_pepper_only() {
        let pepper = Pepper::parse(&"ab".repeat(32)).unwrap();
        let key = |text: &str| pepper.key_of(&EmailAddress::parse(text).unwrap());
        // Computed elsewhere with RFC 2104 and SHA-256: this name is in every log, so it must never change.
        assert_eq!(
            key("ada@example.com").0,
            "3301712927d96269f7ce3aca2b743969febccd6a6b365c2b7dba3459bc0f4cdd"
        );
        assert_eq!(key("Ada@Example.com"), key("ada@example.com"));
        assert_ne!(key("ada@example.com"), key("bob@example.com"));
        let other = Pepper::parse(&Pepper::generate()).unwrap();
        assert_ne!(other.key_of(&EmailAddress::parse("ada@example.com").unwrap()), key("ada@example.com"));
    }

    #[test]
    fn only_32_bytes_in_hex_are_a_pepper() {
        assert!(Pepper::parse("").is_none());
        assert!(Pepper::parse(&"ab".repeat(31)).is_none());
        assert!(Pepper::parse(&"zz".repeat(32)).is_none());
    }
}

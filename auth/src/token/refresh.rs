//! Refresh tokens: opaque to clients, known to the log only by their hash.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use events::SessionId;
use sha2::{Digest, Sha256};
use uuid::Uuid;
use zeroize::Zeroizing;

const SESSION_BYTES: usize = 16;
const SECRET_BYTES: usize = 32;

/// A refresh token: base64url of the session's id, to find its stream, and 256 random bits.
pub(crate) struct RefreshToken {
    /// Which session it belongs to.
    pub(crate) session: SessionId,
    text: Zeroizing<String>,
}

impl RefreshToken {
    /// A fresh one for `session`.
    pub(crate) fn generate(session: SessionId) -> Self {
        let mut bytes = Zeroizing::new([0; SESSION_BYTES + SECRET_BYTES]);
        bytes[..SESSION_BYTES].copy_from_slice(session.0.as_bytes());
        rand::fill(&mut bytes[SESSION_BYTES..]);
        Self {
            session,
            text: Zeroizing::new(BASE64URL.encode(bytes.as_slice())),
        }
    }

    /// Reads what a client sends back; `None` when it cannot be one.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut bytes = Zeroizing::new([0; SESSION_BYTES + SECRET_BYTES]);
        // 48 bytes are 64 characters exactly, so no two texts stand for the same token.
        if text.len() != 64 || BASE64URL.decode_slice(text, bytes.as_mut_slice()).ok()? != bytes.len() {
            return None;
        }
        let session = SessionId(Uuid::from_slice(&bytes[..SESSION_BYTES]).ok()?);
        Some(Self {
            session,
            text: Zeroizing::new(text.to_owned()),
        })
    }

    /// What the client gets.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Hex SHA-256: what the log gets. With 256 random bits inside, it needs no salt.
    pub(crate) fn hash(&self) -> String {
        hex::encode(Sha256::digest(self.text.as_bytes()))
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshToken")
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_generated_can_be_read_and_is_never_the_same() {
        let session = SessionId(Uuid::now_v7());
        let token = RefreshToken::generate(session);
        let read = RefreshToken::parse(token.text()).unwrap();
        assert_eq!(read.session, session);
        assert_eq!(read.hash(), token.hash());
        assert_ne!(RefreshToken::generate(session).hash(), token.hash());
        assert!(!format!("{token:?}").contains(token.text()));
    }

    proptest! {
        #[test]
        fn reading_is_total(text in "\\PC{0,80}") {
            prop_assert_eq!(RefreshToken::parse(&text).is_some(), text.len() == 64
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'));
        }

        #[test]
        fn every_byte_counts(position in 0usize..64, replacement in "[A-Za-z0-9_-]") {
            let token = RefreshToken::generate(SessionId(Uuid::from_u128(7)));
            let mut text = token.text().to_owned();
            text.replace_range(position..=position, &replacement);
            prop_assert_eq!(RefreshToken::parse(&text).unwrap().hash() == token.hash(), text == token.text());
        }
    }
}

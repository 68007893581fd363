//! Refresh tokens: opaque to clients, known to the log only by their hash.

use std::{fmt, ops::Range};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use events::{SecretHash, SessionId};
use sha2::{Digest, Sha256};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::keys::{Pepper, TAG_BYTES};

const SESSION: Range<usize> = 0..16;
const GENERATION: Range<usize> = 16..24;
const SECRET: Range<usize> = 24..56;
const TAG: Range<usize> = 56..56 + TAG_BYTES;
/// 72 bytes are 96 characters of base64url exactly, so no two texts stand for the same token.
const BYTES: usize = TAG.end;
const CHARACTERS: usize = BYTES / 3 * 4;

/// A refresh token: base64url of the session's id, to find its stream; of the token's generation there, so that an older
/// one is known without a list of all; of 256 random bits; and of a tag that only we can make, so that whoever knows the
/// id of a session cannot make up a token of an older generation and end it.
pub(crate) struct RefreshToken {
    /// Which session it belongs to.
    pub(crate) session: SessionId,
    /// How many tokens of the session came before it.
    pub(crate) generation: u64,
    text: Zeroizing<String>,
}

impl RefreshToken {
    /// A fresh one for `session`.
    pub(crate) fn generate(session: SessionId, generation: u64, pepper: &Pepper) -> Self {
        let mut bytes = Zeroizing::new([0; BYTES]);
        bytes[SESSION].copy_from_slice(session.0.as_bytes());
        bytes[GENERATION].copy_from_slice(&generation.to_be_bytes());
        runtime::fill_random(&mut bytes[SECRET]);
        let tag = pepper.tag_of_refresh_token(&bytes[..TAG.start]);
        bytes[TAG].copy_from_slice(&tag);
        Self {
            session,
            generation,
            text: Zeroizing::new(BASE64URL.encode(bytes.as_slice())),
        }
    }

    /// Reads what a client sends back; `None` when it was not made here.
    pub(crate) fn parse(text: &str, pepper: &Pepper) -> Option<Self> {
        let mut bytes = Zeroizing::new([0; BYTES]);
        if text.len() != CHARACTERS || BASE64URL.decode_slice(text, bytes.as_mut_slice()).ok()? != BYTES {
            return None;
        }
        let tag = pepper.tag_of_refresh_token(&bytes[..TAG.start]);
        if !constant_time_eq(&tag, &bytes[TAG]) {
            return None;
        }
        let session = SessionId(Uuid::from_slice(&bytes[SESSION]).ok()?);
        let generation = u64::from_be_bytes(bytes[GENERATION].try_into().ok()?);
        Some(Self {
            session,
            generation,
            text: Zeroizing::new(text.to_owned()),
        })
    }

    /// What the client gets.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Hex SHA-256: what the log gets. With 256 random bits inside, it needs no salt.
    pub(crate) fn hash(&self) -> SecretHash {
        hex::encode(Sha256::digest(self.text.as_bytes())).into()
    }
}

/// Whether both are the same, found out in a time that does not tell where they differ.
fn constant_time_eq(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && left.iter().zip(right).fold(0, |all, (l, r)| all | (l ^ r)) == 0
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

    fn pepper() -> Pepper {
        Pepper::parse(&"ab".repeat(32)).unwrap()
    }

    #[test]
    fn what_is_generated_can_be_read_and_is_never_the_same() {
        let session = SessionId(runtime::new_id());
        let token = RefreshToken::generate(session, 7, &pepper());
        let read = RefreshToken::parse(token.text(), &pepper()).unwrap();
        assert_eq!((read.session, read.generation), (session, 7));
        assert_eq!(read.hash(), token.hash());
        assert_ne!(RefreshToken::generate(session, 7, &pepper()).hash(), token.hash());
        assert!(!format!("{token:?}").contains(token.text()));
    }

    #[test]
    fn nobody_else_can_make_one() {
        let other = Pepper::parse(&"cd".repeat(32)).unwrap();
        let forged = RefreshToken::generate(SessionId(runtime::new_id()), 0, &other);
        assert!(RefreshToken::parse(forged.text(), &pepper()).is_none());
    }

    proptest! {
        #[test]
        fn reading_is_total_and_takes_nothing_that_was_not_made_here(text in "\\PC{0,120}", exact in "[A-Za-z0-9_-]{96}") {
            prop_assert!(RefreshToken::parse(&text, &pepper()).is_none());
            prop_assert!(RefreshToken::parse(&exact, &pepper()).is_none());
        }

        #[test]
        fn every_character_counts(position in 0usize..96, replacement in "[A-Za-z0-9_-]") {
            let token = RefreshToken::generate(SessionId(Uuid::from_u128(7)), 3, &pepper());
            let mut text = token.text().to_owned();
            text.replace_range(position..=position, &replacement);
            prop_assert_eq!(RefreshToken::parse(&text, &pepper()).is_some(), text == token.text());
        }
    }
}

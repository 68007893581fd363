//! Refresh tokens: opaque to clients, known to the log only by their hash.

use events::SessionId;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::opaque_token::{self, TokenText};
use crate::keys::{Pepper, Purpose};

const SESSION_BYTES: usize = 16;
const CONTENT_BYTES: usize = SESSION_BYTES + 8;

/// A refresh token: the id of the session, to find its stream, and the token's generation there, so that an older one
/// is recognised without a list of all. Only auth can make one, so that knowing the id of a session is not enough to
/// present an older generation and end it.
#[derive(Debug)]
pub(crate) struct RefreshToken {
    pub(crate) session: SessionId,
    /// The number of tokens of the session before it.
    pub(crate) generation: u64,
    pub(crate) text: TokenText,
}

impl RefreshToken {
    /// Generates a token for `session`.
    pub(crate) fn generate(session: SessionId, generation: u64, pepper: &Pepper) -> Self {
        let mut content = [0; CONTENT_BYTES];
        content[..SESSION_BYTES].copy_from_slice(session.0.as_bytes());
        content[SESSION_BYTES..].copy_from_slice(&generation.to_be_bytes());
        Self {
            session,
            generation,
            text: TokenText(opaque_token::make(Purpose::RefreshToken, &content, pepper)),
        }
    }

    /// Parses the text of a client; `None` when it was not made here.
    pub(crate) fn parse(text: &str, pepper: &Pepper) -> Option<Self> {
        let content: [u8; CONTENT_BYTES] = opaque_token::read(Purpose::RefreshToken, text, pepper)?;
        let (session, generation) = content.split_at(SESSION_BYTES);
        Some(Self {
            session: SessionId(Uuid::from_slice(session).ok()?),
            generation: u64::from_be_bytes(generation.try_into().ok()?),
            text: TokenText(Zeroizing::new(text.to_owned())),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn pepper() -> Pepper {
        Pepper::parse(&"ab".repeat(32)).unwrap()
    }

    #[test]
    fn what_is_generated_can_be_read_and_is_never_the_same() {
        let session = SessionId(runtime::new_id());
        let token = RefreshToken::generate(session, 7, &pepper());
        let read = RefreshToken::parse(token.text.as_str(), &pepper()).unwrap();
        assert_eq!((read.session, read.generation), (session, 7));
        assert_eq!(read.text.hash(), token.text.hash());
        assert_ne!(RefreshToken::generate(session, 7, &pepper()).text.hash(), token.text.hash());
        assert!(!format!("{token:?}").contains(token.text.as_str()));
    }

    #[test]
    fn nobody_else_can_make_one() {
        let other = Pepper::parse(&"cd".repeat(32)).unwrap();
        let forged = RefreshToken::generate(SessionId(runtime::new_id()), 0, &other);
        assert!(RefreshToken::parse(forged.text.as_str(), &pepper()).is_none());
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
            let mut text = token.text.as_str().to_owned();
            text.replace_range(position..=position, &replacement);
            prop_assert_eq!(RefreshToken::parse(&text, &pepper()).is_some(), text == token.text.as_str());
        }
    }
}

//! Tokens that people make for their programs: opaque, recognised by a prefix, known to the log only by their hash.

use std::fmt;

use auth_client::PROGRAM_TOKEN_PREFIX;
use events::{SecretHash, TokenId, UserId};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::opaque;
use crate::keys::{Pepper, Purpose};

const ID_BYTES: usize = 16;

/// A program token: the ids of its account, to find the stream, and of itself.
pub(crate) struct ProgramToken {
    /// Whose it is.
    pub(crate) account: UserId,
    /// Which of theirs.
    pub(crate) id: TokenId,
    text: Zeroizing<String>,
}

impl ProgramToken {
    /// A fresh one of `account`.
    pub(crate) fn generate(account: UserId, id: TokenId, pepper: &Pepper) -> Self {
        let content = [account.0.as_bytes().as_slice(), id.0.as_bytes()].concat();
        let rest = opaque::make(Purpose::ProgramToken, &content, pepper);
        Self {
            account,
            id,
            text: Zeroizing::new(format!("{PROGRAM_TOKEN_PREFIX}{}", rest.as_str())),
        }
    }

    /// Reads what a program sends; `None` when it was not made here.
    pub(crate) fn parse(text: &str, pepper: &Pepper) -> Option<Self> {
        let rest = text.strip_prefix(PROGRAM_TOKEN_PREFIX)?;
        let content: [u8; 2 * ID_BYTES] = opaque::read(Purpose::ProgramToken, rest, pepper)?;
        let (account, id) = content.split_at(ID_BYTES);
        Some(Self {
            account: UserId(Uuid::from_slice(account).ok()?),
            id: TokenId(Uuid::from_slice(id).ok()?),
            text: Zeroizing::new(text.to_owned()),
        })
    }

    /// What the person gets, once.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// What the log gets.
    pub(crate) fn hash(&self) -> SecretHash {
        opaque::hash(&self.text)
    }
}

impl fmt::Debug for ProgramToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProgramToken")
            .field("account", &self.account)
            .field("id", &self.id)
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

    fn generate() -> ProgramToken {
        let (account, id) = (UserId(Uuid::from_u128(7)), TokenId(Uuid::from_u128(8)));
        ProgramToken::generate(account, id, &pepper())
    }

    #[test]
    fn what_is_generated_can_be_read_and_is_never_the_same() {
        let token = generate();
        let read = ProgramToken::parse(token.text(), &pepper()).unwrap();
        assert_eq!(
            (read.account, read.id, read.hash()),
            (token.account, token.id, token.hash())
        );
        assert_ne!(generate().hash(), token.hash());
        assert!(!format!("{token:?}").contains(token.text()));
        // Roles tell program tokens from others by prefix and length.
        assert_eq!(token.text().len(), PROGRAM_TOKEN_PREFIX.len() + 107);
    }

    #[test]
    fn nobody_else_can_make_one() {
        let other = Pepper::parse(&"cd".repeat(32)).unwrap();
        assert!(ProgramToken::parse(generate().text(), &other).is_none());
    }

    proptest! {
        #[test]
        fn every_character_counts(position in 0_usize..122, replacement in "[A-Za-z0-9_-]") {
            let token = generate();
            let mut text = token.text().to_owned();
            text.replace_range(position..=position, &replacement);
            prop_assert_eq!(ProgramToken::parse(&text, &pepper()).is_some(), text == token.text());
        }
    }
}

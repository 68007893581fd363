//! Reset tokens, which an operator or an admin gives to a person: opaque, known to the log only by their hash.

use std::fmt;

use events::{SecretHash, UserId};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::opaque_token;
use crate::keys::{Pepper, Purpose};

/// A reset token: the id of the account, to find its stream.
pub(crate) struct ResetToken {
    /// The account.
    pub(crate) account: UserId,
    text: Zeroizing<String>,
}

impl ResetToken {
    /// Generates a token for `account`.
    pub(crate) fn generate(account: UserId, pepper: &Pepper) -> Self {
        Self {
            account,
            text: opaque_token::make(Purpose::ResetToken, account.0.as_bytes(), pepper),
        }
    }

    /// Parses the text of a client; `None` when it was not made here.
    pub(crate) fn parse(text: &str, pepper: &Pepper) -> Option<Self> {
        let account: [u8; 16] = opaque_token::read(Purpose::ResetToken, text, pepper)?;
        Some(Self {
            account: UserId(Uuid::from_bytes(account)),
            text: Zeroizing::new(text.to_owned()),
        })
    }

    /// The text for the person.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The hash for the log.
    pub(crate) fn hash(&self) -> SecretHash {
        opaque_token::hash(&self.text)
    }
}

impl fmt::Debug for ResetToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResetToken")
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::RefreshToken;

    #[test]
    fn a_token_for_one_purpose_is_none_for_another() {
        let pepper = Pepper::parse(&"ab".repeat(32)).unwrap();
        let account = UserId(Uuid::from_u128(7));
        let token = ResetToken::generate(account, &pepper);
        let read = ResetToken::parse(token.text(), &pepper).unwrap();
        assert_eq!((read.account, read.hash()), (account, token.hash()));
        let refresh = RefreshToken::generate(events::SessionId(account.0), 0, &pepper);
        assert!(ResetToken::parse(refresh.text(), &pepper).is_none());
        assert!(RefreshToken::parse(token.text(), &pepper).is_none());
    }
}

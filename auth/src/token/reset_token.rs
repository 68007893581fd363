//! Reset tokens, which an operator or an admin gives to a person: opaque, known to the log only by their hash.

use events::UserId;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::opaque_token::{self, TokenText};
use crate::keys::{Pepper, Purpose};

/// A reset token: the id of the account, to find its stream.
#[derive(Debug)]
pub(crate) struct ResetToken {
    pub(crate) account: UserId,
    pub(crate) text: TokenText,
}

impl ResetToken {
    /// Generates a token for `account`.
    pub(crate) fn generate(account: UserId, pepper: &Pepper) -> Self {
        Self {
            account,
            text: TokenText(opaque_token::make(Purpose::ResetToken, account.0.as_bytes(), pepper)),
        }
    }

    /// Parses the text of a client; `None` when it was not made here.
    pub(crate) fn parse(text: &str, pepper: &Pepper) -> Option<Self> {
        let account: [u8; 16] = opaque_token::read(Purpose::ResetToken, text, pepper)?;
        Some(Self {
            account: UserId(Uuid::from_bytes(account)),
            text: TokenText(Zeroizing::new(text.to_owned())),
        })
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
        let read = ResetToken::parse(token.text.as_str(), &pepper).unwrap();
        assert_eq!((read.account, read.text.hash()), (account, token.text.hash()));
        let refresh = RefreshToken::generate(events::SessionId(account.0), 0, &pepper);
        assert!(ResetToken::parse(refresh.text.as_str(), &pepper).is_none());
        assert!(RefreshToken::parse(token.text.as_str(), &pepper).is_none());
    }
}

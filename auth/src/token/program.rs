//! Tokens that people make for their programs: opaque, recognised by a prefix, known to the log only by their hash. A part of
//! each says which it is, so that it can be asked about without being shown.

use std::fmt;

use auth_client::PROGRAM_TOKEN_PREFIX;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use events::{SecretHash, TokenId, UserId};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::opaque::{self, constant_time_eq};
use crate::keys::{Pepper, Purpose, TAG_BYTES};

const ID_BYTES: usize = 16;
/// The ids of the account and of the token, and a tag that only we can make, so that made-up names cost no read. 64
/// characters of base64url exactly, so no two texts stand for the same name.
const NAME_BYTES: usize = 2 * ID_BYTES + TAG_BYTES;

/// Which token somebody shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProgramTokenName {
    /// Whose it is.
    pub(crate) account: UserId,
    /// Which of theirs.
    pub(crate) id: TokenId,
}

impl ProgramTokenName {
    /// Reads the name; `None` when it was not made here.
    pub(crate) fn parse(name: &str, pepper: &Pepper) -> Option<Self> {
        let bytes: [u8; NAME_BYTES] = BASE64URL.decode(name).ok()?.try_into().ok()?;
        let (ids, tag) = bytes.split_at(2 * ID_BYTES);
        if !constant_time_eq(&pepper.tag(Purpose::ProgramToken, ids), tag) {
            return None;
        }
        let (account, id) = ids.split_at(ID_BYTES);
        Some(Self {
            account: UserId(Uuid::from_slice(account).ok()?),
            id: TokenId(Uuid::from_slice(id).ok()?),
        })
    }

    fn text(self, pepper: &Pepper) -> String {
        let ids = [self.account.0.as_bytes().as_slice(), self.id.0.as_bytes()].concat();
        let tag = pepper.tag(Purpose::ProgramToken, &ids);
        BASE64URL.encode([ids.as_slice(), &tag].concat())
    }
}

/// A program token, as it is when it is made.
pub(crate) struct ProgramToken {
    pub(crate) id: TokenId,
    text: Zeroizing<String>,
}

impl ProgramToken {
    /// A fresh one of `account`.
    pub(crate) fn generate(account: UserId, id: TokenId, pepper: &Pepper) -> Self {
        let mut secret = Zeroizing::new([0; 32]);
        runtime::fill_random(secret.as_mut_slice());
        let secret = Zeroizing::new(BASE64URL.encode(secret.as_slice()));
        let name = ProgramTokenName { account, id }.text(pepper);
        Self {
            id,
            text: Zeroizing::new(format!("{PROGRAM_TOKEN_PREFIX}{name}{}", secret.as_str())),
        }
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
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use auth_client::program_token_name;
    use proptest::prelude::*;

    use super::*;

    const ACCOUNT: UserId = UserId(Uuid::from_u128(7));
    const ID: TokenId = TokenId(Uuid::from_u128(8));

    fn pepper() -> Pepper {
        Pepper::parse(&"ab".repeat(32)).unwrap()
    }

    #[test]
    fn a_token_can_be_told_by_its_name_and_is_never_the_same() {
        let token = ProgramToken::generate(ACCOUNT, ID, &pepper());
        let name = program_token_name(token.text()).unwrap();
        assert_eq!(
            ProgramTokenName::parse(name, &pepper()),
            Some(ProgramTokenName {
                account: ACCOUNT,
                id: ID
            })
        );
        assert_ne!(
            ProgramToken::generate(ACCOUNT, ID, &pepper()).hash(),
            token.hash()
        );
        assert!(!format!("{token:?}").contains(&token.text()[20..]));
    }

    #[test]
    fn nobody_else_can_make_up_a_name() {
        let other = Pepper::parse(&"cd".repeat(32)).unwrap();
        let token = ProgramToken::generate(ACCOUNT, ID, &pepper());
        let name = program_token_name(token.text()).unwrap();
        assert_eq!(ProgramTokenName::parse(name, &other), None);
    }

    proptest! {
        #[test]
        fn every_character_of_the_name_counts(position in 0_usize..64, replacement in "[A-Za-z0-9_-]") {
            let token = ProgramToken::generate(ACCOUNT, ID, &pepper());
            let name = program_token_name(token.text()).unwrap();
            let mut changed = name.to_owned();
            changed.replace_range(position..=position, &replacement);
            prop_assert_eq!(ProgramTokenName::parse(&changed, &pepper()).is_some(), changed == name);
        }
    }
}

//! Program tokens: opaque, with a prefix, known to the log only by their hash. A part of each names it, so that it
//! can be checked without sending all of it.

use auth_client::PROGRAM_TOKEN_PREFIX;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use events::{TokenId, UserId};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::opaque_token::{TokenText, constant_time_eq};
use crate::keys::{Pepper, Purpose, TAG_BYTES};

const ID_BYTES: usize = 16;
/// The ids of the account and the token, and a tag that only auth can make, so that invented names cost no read. It
/// is exactly 64 characters of base64url, so each name has one text.
const NAME_BYTES: usize = 2 * ID_BYTES + TAG_BYTES;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProgramTokenName {
    pub(crate) account: UserId,
    pub(crate) id: TokenId,
}

impl ProgramTokenName {
    /// Parses the name; `None` when it was not made here.
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

    /// A new token with this name, for the person, who sees it once.
    pub(crate) fn token(self, pepper: &Pepper) -> TokenText {
        let ids = [self.account.0.as_bytes().as_slice(), self.id.0.as_bytes()].concat();
        let tag = pepper.tag(Purpose::ProgramToken, &ids);
        let name = BASE64URL.encode([ids.as_slice(), &tag].concat());
        let mut secret = Zeroizing::new([0; 32]);
        runtime::fill_random(secret.as_mut_slice());
        let secret = Zeroizing::new(BASE64URL.encode(secret.as_slice()));
        TokenText(Zeroizing::new(format!("{PROGRAM_TOKEN_PREFIX}{name}{}", secret.as_str())))
    }
}

#[cfg(test)]
mod tests {
    use auth_client::program_token_name;
    use proptest::prelude::*;

    use super::*;

    const NAME: ProgramTokenName =
        ProgramTokenName { account: UserId(Uuid::from_u128(7)), id: TokenId(Uuid::from_u128(8)) };

    fn pepper() -> Pepper {
        Pepper::parse(&"ab".repeat(32)).unwrap()
    }

    #[test]
    fn a_token_can_be_told_by_its_name_and_is_never_the_same() {
        let token = NAME.token(&pepper());
        let name = program_token_name(token.as_str()).unwrap();
        assert_eq!(ProgramTokenName::parse(name, &pepper()), Some(NAME));
        assert_ne!(NAME.token(&pepper()).hash(), token.hash());
        assert!(!format!("{token:?}").contains(&token.as_str()[20..]));
    }

    #[test]
    fn nobody_else_can_make_up_a_name() {
        let other = Pepper::parse(&"cd".repeat(32)).unwrap();
        let token = NAME.token(&pepper());
        let name = program_token_name(token.as_str()).unwrap();
        assert_eq!(ProgramTokenName::parse(name, &other), None);
    }

    proptest! {
        #[test]
        fn every_character_of_the_name_counts(position in 0_usize..64, replacement in "[A-Za-z0-9_-]") {
            let token = NAME.token(&pepper());
            let name = program_token_name(token.as_str()).unwrap();
            let mut changed = name.to_owned();
            changed.replace_range(position..=position, &replacement);
            prop_assert_eq!(ProgramTokenName::parse(&changed, &pepper()).is_some(), changed == name);
        }
    }
}

//! What can be said about a token by looking at it, before anyone is asked.

use sha2::{Digest, Sha256};

/// Longer ones are never issued here.
const MAX_TOKEN_BYTES: usize = 4 * 1024;

/// SHA-256 of a token: the name under which it is remembered. The token itself is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TokenHash([u8; 32]);

impl TokenHash {
    pub(crate) fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }

    pub(crate) fn to_hex(self) -> String {
        hex::encode(self.0)
    }
}

/// Whether `token` has the shape of a JWT in compact form (RFC 7519): three non-empty base64url parts.
pub(crate) fn looks_like_a_token(token: &str) -> bool {
    token.len() <= MAX_TOKEN_BYTES && token.split('.').count() == 3 && token.split('.').all(is_base64url)
}

/// How a program token begins, so that everyone can tell it from other tokens, tools that look for leaked secrets too.
pub const PROGRAM_TOKEN_PREFIX: &str = "taskledger_pat_";

/// Characters behind the prefix that say which token it is.
const NAME_CHARACTERS: usize = 64;
/// Characters of the secret behind them.
const SECRET_CHARACTERS: usize = 43;

/// The part of a program token that says which it is, and nothing secret; `None` for a text of another shape. Only auth can
/// say more.
#[must_use]
pub fn program_token_name(token: &str) -> Option<&str> {
    let rest = token.strip_prefix(PROGRAM_TOKEN_PREFIX)?;
    let has_shape = rest.len() == NAME_CHARACTERS + SECRET_CHARACTERS && is_base64url(rest);
    has_shape.then(|| &rest[..NAME_CHARACTERS])
}

fn is_base64url(part: &str) -> bool {
    !part.is_empty()
        && part
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_token_has_its_prefix_and_its_length() {
        let token = |length| format!("taskledger_pat_{}", "a".repeat(length));
        assert_eq!(program_token_name(&token(107)), Some(&*"a".repeat(64)));
        for not in [token(106), token(108), "a".repeat(122), token(106) + "."] {
            assert_eq!(program_token_name(&not), None, "{not}");
        }
    }

    #[test]
    fn only_three_base64url_parts_look_like_a_token() {
        assert!(looks_like_a_token("eyJ0.eyJz_-.c2ln"));
        for not in [
            "", "a", "a.b", "a.b.c.d", "a..c", "a.b.", ".b.c", "a.b.c=", "a.b c.d", "ä.b.c", "a.b.c\n",
        ] {
            assert!(!looks_like_a_token(not), "{not:?}");
        }
        let long = |length: usize| format!("a.b.{}", "c".repeat(length - 4));
        assert!(looks_like_a_token(&long(4096)));
        assert!(!looks_like_a_token(&long(4097)));
    }
}

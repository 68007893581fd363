//! What can be decided about a token from its text alone.

use sha2::{Digest, Sha256};

/// The longest token that can be valid, in bytes.
const MAX_TOKEN_BYTES: usize = 4 * 1024;

/// SHA-256 of a token, the key of caches. The token itself is not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// The hash of `token`.
    pub fn of(token: &str) -> Self {
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

/// The prefix of program tokens, by which tools that search for leaked secrets recognise them.
pub const PROGRAM_TOKEN_PREFIX: &str = "taskledger_pat_";

/// The length of the public part after the prefix, which names the token.
const NAME_CHARACTERS: usize = 64;
/// The length of the secret part after the name.
const SECRET_CHARACTERS: usize = 43;

/// The public part of a program token, which names it; `None` for a text of another shape.
pub fn program_token_name(token: &str) -> Option<&str> {
    let rest = token.strip_prefix(PROGRAM_TOKEN_PREFIX)?;
    let has_shape = rest.len() == NAME_CHARACTERS + SECRET_CHARACTERS && is_base64url(rest);
    has_shape.then(|| &rest[..NAME_CHARACTERS])
}

fn is_base64url(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
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
        for not in
            ["", "a", "a.b", "a.b.c.d", "a..c", "a.b.", ".b.c", "a.b.c=", "a.b c.d", "ä.b.c", "a.b.c\n"]
        {
            assert!(!looks_like_a_token(not), "{not:?}");
        }
        let long = |length: usize| format!("a.b.{}", "c".repeat(length - 4));
        assert!(looks_like_a_token(&long(4096)));
        assert!(!looks_like_a_token(&long(4097)));
    }
}

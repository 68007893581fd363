//! Hashes of secrets: kept and compared, never shown.

use std::{fmt, ops::Deref};

use serde::{Deserialize, Serialize};

/// The hash of a password, a token or a code, or a sealed secret. `Debug` does not show it, so that no log line
/// contains it.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretHash(String);

impl Deref for SecretHash {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl From<String> for SecretHash {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for SecretHash {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::SecretHash;
    use crate::{AccountEvent, AccountRegistered, PasswordRehashed, SessionEvent, SessionRefreshed};

    #[test]
    fn no_hash_is_shown_by_debug() {
        let hash = || SecretHash::from("$argon2id$secret");
        let registered: AccountEvent =
            AccountRegistered { email: "ada@example.com".into(), display_name: None, password_hash: hash() }
                .into();
        let rehashed: AccountEvent = PasswordRehashed { password_hash: hash() }.into();
        let refreshed: SessionEvent =
            SessionRefreshed { refresh_hash: hash(), client: None, used: None }.into();
        let shown = format!("{:?} {registered:?} {rehashed:?} {refreshed:?}", hash());
        assert!(!shown.contains("argon2"), "{shown}");
    }
}

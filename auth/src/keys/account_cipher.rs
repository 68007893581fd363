//! Encrypts the secrets of second factors and the snapshots of accounts (ChaCha20-Poly1305, RFC 8439), so that the
//! log or a backup alone is not enough to make codes. The key comes from the directory of keys.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use events::{SecretHash, UserId};
use sealing::Key;
use zeroize::Zeroizing;

use super::Pepper;

pub(crate) struct AccountCipher(Key);

impl AccountCipher {
    /// Uses the key that is derived from `pepper`; `None` if the library refuses it, which should never happen.
    pub(crate) fn new(pepper: &Pepper) -> Option<Self> {
        Key::new(pepper.cipher_key().as_slice()).map(Self)
    }

    /// Encrypts the `secret` of `account`. A secret is encrypted once, so that a random nonce never repeats.
    pub(crate) fn encrypt(&self, account: UserId, secret: &[u8]) -> Option<SecretHash> {
        self.encrypt_with(account.0.as_bytes(), secret)
    }

    /// Decrypts what was encrypted for `account`; `None` when the account or the key is another.
    pub(crate) fn decrypt(&self, account: UserId, sealed: &SecretHash) -> Option<Zeroizing<Vec<u8>>> {
        self.decrypt_with(account.0.as_bytes(), sealed)
    }

    /// Encrypts a snapshot of `account`. There are far fewer snapshots than random nonces allow (2^32).
    pub(crate) fn encrypt_snapshot(&self, account: UserId, snapshot: &[u8]) -> Option<SecretHash> {
        self.encrypt_with(&of_snapshot(account), snapshot)
    }

    /// Decrypts the snapshot of `account`; `None` when the account or the key is another.
    pub(crate) fn decrypt_snapshot(
        &self,
        account: UserId,
        sealed: &SecretHash,
    ) -> Option<Zeroizing<Vec<u8>>> {
        self.decrypt_with(&of_snapshot(account), sealed)
    }

    fn encrypt_with(&self, associated: &[u8], secret: &[u8]) -> Option<SecretHash> {
        let sealed = self.0.seal(associated, secret).ok()?;
        Some(BASE64URL.encode(sealed).into())
    }

    fn decrypt_with(&self, associated: &[u8], sealed: &SecretHash) -> Option<Zeroizing<Vec<u8>>> {
        self.0.open(associated, &BASE64URL.decode(sealed.as_bytes()).ok()?)
    }
}

/// The associated data of a snapshot, so that it is not valid in place of a secret.
fn of_snapshot(account: UserId) -> Vec<u8> {
    [account.0.as_bytes().as_slice(), b"snapshot"].concat()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn cipher(pepper: &str) -> AccountCipher {
        AccountCipher::new(&Pepper::parse(&pepper.repeat(32)).unwrap()).unwrap()
    }

    #[test]
    fn only_the_same_key_opens_it_and_only_for_the_same_account() {
        let (ada, bob) = (UserId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2)));
        let ours = cipher("ab");
        let sealed = ours.encrypt(ada, b"secret").unwrap();
        assert_eq!(ours.decrypt(ada, &sealed).unwrap().as_slice(), b"secret");
        assert!(ours.decrypt(bob, &sealed).is_none());
        assert!(cipher("cd").decrypt(ada, &sealed).is_none());
        assert_ne!(ours.encrypt(ada, b"secret").unwrap(), sealed);
        assert!(ours.decrypt_snapshot(ada, &sealed).is_none());
        let snapshot = ours.encrypt_snapshot(ada, b"state").unwrap();
        assert_eq!(ours.decrypt_snapshot(ada, &snapshot).unwrap().as_slice(), b"state");
        assert!(ours.decrypt(ada, &snapshot).is_none());
        let spoiled: SecretHash = sealed.chars().rev().collect::<String>().into();
        for not in [spoiled, "".into(), "AAAA".into()] {
            assert!(ours.decrypt(ada, &not).is_none());
        }
    }
}

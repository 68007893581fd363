//! One key of ChaCha20-Poly1305 (RFC 8439): a person's data key, a master key that wraps such keys, or the key of
//! auth's own secrets.

use std::fmt;

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroizing;

use crate::KeyError;

/// Bytes of a key.
pub(crate) const KEY_BYTES: usize = 32;

/// The bytes of a key, which are overwritten when they are dropped.
pub(crate) type KeyBytes = Zeroizing<[u8; KEY_BYTES]>;

/// A key that encrypts.
pub struct Key(LessSafeKey);

/// Fresh bytes for a key.
pub(crate) fn generate() -> KeyBytes {
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    runtime::fill_random(bytes.as_mut_slice());
    bytes
}

impl Key {
    /// The key of these 32 bytes; `None` if they are more or fewer.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let key = UnboundKey::new(&CHACHA20_POLY1305, bytes).ok()?;
        Some(Self(LessSafeKey::new(key)))
    }

    /// Encrypts `plain`: nonce, ciphertext and tag. It can be decrypted only with the same `associated`. The nonce is
    /// random, which is safe for 2^32 texts under one key: far more than the events of a person, or the data keys
    /// under a master key.
    ///
    /// # Errors
    /// When `plain` is too long.
    pub fn seal(&self, associated: &[u8], plain: &[u8]) -> Result<Vec<u8>, KeyError> {
        let mut nonce = [0; NONCE_LEN];
        runtime::fill_random(&mut nonce);
        let mut sealed = Vec::with_capacity(NONCE_LEN + plain.len() + CHACHA20_POLY1305.tag_len());
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plain);
        let tag = self
            .0
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(associated),
                &mut sealed[NONCE_LEN..],
            )
            .map_err(|_| KeyError::Unusable)?;
        sealed.extend_from_slice(tag.as_ref());
        Ok(sealed)
    }

    /// Decrypts `sealed`, which was encrypted with the same `associated`; `None` when that or the key differs.
    pub fn open(&self, associated: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let nonce = Nonce::try_assume_unique_for_key(sealed.get(..NONCE_LEN)?).ok()?;
        let mut bytes = Zeroizing::new(sealed[NONCE_LEN..].to_vec());
        let length = self.0.open_in_place(nonce, Aad::from(associated), &mut bytes).ok()?.len();
        bytes.truncate(length);
        Some(bytes)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_key_opens_it_and_only_in_the_same_place() {
        let key = Key::new(&[1; KEY_BYTES]).unwrap();
        let sealed = key.seal(b"here", b"secret").unwrap();
        assert_eq!(key.open(b"here", &sealed).unwrap().as_slice(), b"secret");
        assert!(key.open(b"there", &sealed).is_none());
        assert!(Key::new(&[2; KEY_BYTES]).unwrap().open(b"here", &sealed).is_none());
        assert_ne!(key.seal(b"here", b"secret").unwrap(), sealed, "the nonce is another");
        for (place, _) in sealed.iter().enumerate() {
            let mut spoiled = sealed.clone();
            spoiled[place] ^= 1;
            assert!(key.open(b"here", &spoiled).is_none(), "byte {place}");
            assert!(key.open(b"here", &sealed[..place]).is_none(), "{place} bytes");
        }
    }
}

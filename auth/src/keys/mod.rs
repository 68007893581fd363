//! The secrets of auth: the keys that sign access tokens, and the pepper for hashing addresses.

mod account_cipher;
mod directory;
mod keyring;
mod pepper;
mod rotation;

pub(crate) use account_cipher::AccountCipher;
pub use directory::{KeyDefects, KeyPart, KeysUnusable};
pub(crate) use directory::{defects, open, read};
pub use keyring::SigningAlgorithm;
pub(crate) use keyring::{Keyring, SigningKey};
pub(crate) use pepper::{EmailKey, Pepper, Purpose, TAG_BYTES};
pub use rotation::{KeyState, KeyUse, NotRetired, generate, list, retire, rotate};

/// The contents of the directory of keys.
#[derive(Debug)]
pub(crate) struct Keys {
    pub(crate) keyring: Keyring,
    pub(crate) pepper: Pepper,
}

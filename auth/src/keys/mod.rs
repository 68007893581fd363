//! The secrets of auth: the keys that sign access tokens, and the pepper for hashing addresses.

mod directory;
mod files;
mod keyring;
mod pepper;

pub use directory::{KeyState, KeyUse, NotRetired, generate, list, retire, rotate};
pub use files::KeysUnusable;
pub(crate) use files::{open, read};
pub use keyring::SigningAlgorithm;
pub(crate) use keyring::{Keyring, SigningKey};
pub(crate) use pepper::{EmailKey, Pepper, Purpose, TAG_BYTES};

/// The contents of the directory of keys.
#[derive(Debug)]
pub(crate) struct Keys {
    pub(crate) keyring: Keyring,
    pub(crate) pepper: Pepper,
}

//! The secrets of auth: the keys that sign access tokens, and the pepper under which addresses are hashed.

mod files;
mod keyring;
mod pepper;

pub(crate) use files::{open, read};
pub(crate) use keyring::{Keyring, SigningKey};
pub(crate) use pepper::{EmailKey, Pepper, Purpose, TAG_BYTES};

/// Everything in the directory of keys.
#[derive(Debug)]
pub(crate) struct Keys {
    pub(crate) keyring: Keyring,
    pub(crate) pepper: Pepper,
}

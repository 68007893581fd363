//! Passwords: the rules for new ones, and their hashes.

mod admission;
mod argon2_memory;
mod argon2_parameters;
mod bcrypt_hash;
mod breached_passwords;
mod common_passwords;
mod failed_login_time;
mod fair_queue;
mod hash_metrics;
mod hashing;
mod hashing_failed;
mod hashing_threads;
mod pattern;
mod policy;

use std::fmt;

use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

pub(crate) use admission::{Requester, Slot};
pub use argon2_parameters::Argon2Parameters;
pub(crate) use bcrypt_hash::{HIGHEST_COST, is_bcrypt};
pub(crate) use breached_passwords::UnusableFile;
pub(crate) use failed_login_time::kind_of;
pub(crate) use hashing::Hasher;
pub(crate) use hashing_failed::HashingFailed;
pub(crate) use policy::{DEFAULT_MIN_CHARACTERS, MIN_CHARACTERS_RANGE, Policy, Weakness};

/// A password as it was typed. Wiped from memory when dropped, never shown.
pub(crate) struct Password(Zeroizing<String>);

impl Password {
    pub(crate) fn new(text: &str) -> Self {
        Self(Zeroizing::new(text.to_owned()))
    }

    /// The form that is hashed and measured: NFC, as the OpaqueString profile of RFC 8265 requires, because systems
    /// compose the same letter differently. Nothing else is changed.
    fn normalized(&self) -> Zeroizing<String> {
        Zeroizing::new(self.0.nfc().collect())
    }

    /// The bytes as they were typed, which is what the former system hashed.
    fn as_typed(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

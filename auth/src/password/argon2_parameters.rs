//! The cost of hashing a password, and a hash of that cost that matches no password.

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use runtime::random_bytes;

/// The cost of argon2id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Argon2Parameters {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// The number of passes over the memory.
    pub iterations: u32,
    pub parallelism: u32,
}

impl Default for Argon2Parameters {
    /// The OWASP minimum: 19 MiB, 2 passes, 1 lane.
    fn default() -> Self {
        Self { memory_kib: 19_456, iterations: 2, parallelism: 1 }
    }
}

/// A hash with the present cost that matches no password. It is not computed, so that the start of a process needs no
/// memory for argon2.
pub(super) fn dummy(parameters: Argon2Parameters) -> String {
    let Argon2Parameters { memory_kib, iterations, parallelism } = parameters;
    let salt = STANDARD_NO_PAD.encode(random_bytes::<16>());
    let output = STANDARD_NO_PAD.encode(random_bytes::<32>());
    format!("$argon2id$v=19$m={memory_kib},t={iterations},p={parallelism}${salt}${output}")
}

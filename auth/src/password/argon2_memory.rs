//! Memory for argon2 that is kept from one comparison to the next, because to allocate and zero it each time takes a
//! tenth of the time.

use argon2::{
    Algorithm, Argon2, Block, Params, Version,
    password_hash::{self, phc::Output, phc::PasswordHash},
};

/// Memory of one thread, 19 MiB with the default parameters.
#[derive(Default)]
pub(super) struct Argon2Memory {
    blocks: Vec<Block>,
}

impl Argon2Memory {
    /// Whether `hash` is one of `password`. Takes the same time whether it is or not.
    ///
    /// # Errors
    /// When `hash` is of no algorithm, version or parameters that argon2 knows.
    pub(super) fn matches(&mut self, password: &[u8], hash: &PasswordHash) -> password_hash::Result<bool> {
        let (Some(salt), Some(expected)) = (&hash.salt, &hash.hash) else {
            return Ok(false);
        };
        let params = Params::try_from(hash)?;
        let version = hash.version.map(Version::try_from).transpose()?.unwrap_or_default();
        // It writes each block before it reads it.
        self.blocks.resize(params.block_count(), Block::new());
        let mut output = [0; Output::MAX_LENGTH];
        let output = output.get_mut(..expected.len()).unwrap_or_default();
        Argon2::new(Algorithm::try_from(hash.algorithm.as_str())?, version, params)
            .hash_password_into_with_memory(password, salt, output, &mut self.blocks)?;
        // Compared in constant time.
        Ok(Output::new(output)? == *expected)
    }

    /// Lets go of the memory.
    pub(super) fn release(&mut self) {
        self.blocks = Vec::new();
    }
}

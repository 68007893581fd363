//! Hashes and verifies passwords with argon2id (RFC 9106) on separate threads.

use std::{sync::Arc, time::Duration};

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher, phc::PasswordHash},
};
use tokio::time::Instant;

use super::{
    HashingFailed, Password,
    admission::{Admission, Requester, Slot},
    argon2_memory::Argon2Memory,
    argon2_parameters::{Argon2Parameters, dummy},
    bcrypt_hash,
    failed_login_time::FailedLoginTime,
    hashing_threads::HashingThreads,
};

/// The result of comparing a password with a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verified {
    /// Whether it is the right password.
    pub(crate) matches: bool,
    /// Whether the hash is weaker than those made today.
    pub(crate) is_outdated: bool,
    /// The duration, if it was the first comparison with this kind of hash.
    pub(crate) first_of_its_kind: Option<Duration>,
}

pub(crate) struct Hasher {
    argon2: Argon2<'static>,
    /// The hash to compare with when there is no account, so that this takes as long.
    dummy: String,
    admission: Admission,
    threads: HashingThreads,
    pub(crate) failure_time: FailedLoginTime,
}

impl Hasher {
    /// Creates a hasher with `threads` threads and `waiting` places in its queue. A failure takes at least
    /// `shortest_failure`.
    pub(crate) fn new(
        parameters: Argon2Parameters,
        threads: usize,
        waiting: usize,
        shortest_failure: Duration,
    ) -> Result<Self, HashingFailed> {
        let Argon2Parameters { memory_kib, iterations, parallelism } = parameters;
        let params = Params::new(memory_kib, iterations, parallelism, None).map_err(failed)?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        Ok(Self {
            argon2,
            dummy: dummy(parameters),
            admission: Admission::new(threads, waiting),
            threads: HashingThreads::start(threads).map_err(HashingFailed::NoThread)?,
            failure_time: FailedLoginTime::new(shortest_failure),
        })
    }

    /// Waits for the right to hash.
    pub(crate) async fn admit(&self, requester: Requester<'_>) -> Result<Slot, HashingFailed> {
        self.admission.admit(requester).await
    }

    /// A new PHC string for `password`.
    pub(crate) async fn hash(&self, slot: &Slot, password: &Arc<Password>) -> Result<String, HashingFailed> {
        let argon2 = self.argon2.clone();
        let password = Arc::clone(password);
        self.run(slot, move |_| make(&argon2, password.normalized().as_bytes())).await?
    }

    /// Compares `password` with `hash`; without a hash it takes the same time and does not match.
    pub(crate) async fn verify(
        &self,
        slot: &Slot,
        password: &Arc<Password>,
        hash: Option<&str>,
    ) -> Result<Verified, HashingFailed> {
        let exists = hash.is_some();
        let hash = hash.unwrap_or(&self.dummy);
        let is_outdated = self.is_outdated(hash);
        let (password, owned) = (Arc::clone(password), hash.to_owned());
        let compare = move |memory: &mut Argon2Memory| {
            let begun = Instant::now();
            (compare(memory, &password, &owned), begun.elapsed())
        };
        let (matches, took) = self.run(slot, compare).await?;
        let is_first = self.failure_time.record(hash, took);
        Ok(Verified { matches: matches && exists, is_outdated, first_of_its_kind: is_first.then_some(took) })
    }

    async fn run<T: Send + 'static>(
        &self,
        slot: &Slot,
        work: impl FnOnce(&mut Argon2Memory) -> T + Send + 'static,
    ) -> Result<T, HashingFailed> {
        // Held by the thread: a caller that disconnects does not make room for another.
        let slot = slot.clone();
        let work = move |memory: &mut Argon2Memory| {
            let done = work(memory);
            drop(slot);
            done
        };
        self.threads.run(work).await
    }

    fn is_outdated(&self, hash: &str) -> bool {
        let today = self.argon2.params();
        let Ok(parsed) = PasswordHash::new(hash) else {
            return true;
        };
        let Ok(params) = Params::try_from(&parsed) else {
            return true;
        };
        parsed.algorithm.as_str() != Algorithm::Argon2id.as_str()
            || params.m_cost() < today.m_cost()
            || params.t_cost() < today.t_cost()
            || params.p_cost() < today.p_cost()
    }
}

fn make(argon2: &Argon2<'_>, password: &[u8]) -> Result<String, HashingFailed> {
    let hash: PasswordHash = argon2.hash_password(password).map_err(failed)?;
    Ok(hash.to_string())
}

fn compare(memory: &mut Argon2Memory, password: &Password, hash: &str) -> bool {
    if bcrypt_hash::is_of_bcrypt(hash) {
        return bcrypt_hash::matches(password, hash);
    }
    let Ok(hash) = PasswordHash::new(hash) else {
        return false;
    };
    memory.matches(password.normalized().as_bytes(), &hash).unwrap_or(false)
}

fn failed(error: impl std::fmt::Display) -> HashingFailed {
    HashingFailed::Argon2(error.to_string())
}

#[cfg(test)]
mod tests;

//! Hashes passwords with argon2id (RFC 9106) on a bounded pool of blocking threads, and still verifies the
//! bcrypt hashes that the former system left behind.

use std::{sync::Arc, time::Duration};

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use runtime::random_bytes;
use tokio::time::Instant;

use super::{
    Password,
    admission::{Admission, Asker, Slot},
    failure_time::FailureTime,
};

/// What argon2id costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Argon2Parameters {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub iterations: u32,
    /// Lanes.
    pub parallelism: u32,
}

impl Default for Argon2Parameters {
    /// The OWASP minimum: 19 MiB, 2 passes, 1 lane.
    fn default() -> Self {
        Self {
            memory_kib: 19_456,
            iterations: 2,
            parallelism: 1,
        }
    }
}

/// Characters of the salt and the output of bcrypt.
const BCRYPT_SALT_AND_OUTPUT: usize = 53;

/// Why a password was neither hashed nor verified.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HashingFailed {
    /// Too many wait already.
    #[error("too many passwords wait to be hashed")]
    Overloaded,
    /// Too many of one address wait already.
    #[error("too many passwords from one address wait to be hashed")]
    Crowded,
    /// A parameter that argon2 does not take, or no randomness.
    #[error("argon2: {0}")]
    Argon2(String),
    /// The thread that hashed did not finish.
    #[error("a hashing thread broke off")]
    Broken,
}

/// What comparing a password to a hash came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verified {
    /// Whether it is the right password.
    pub(crate) matches: bool,
    /// Whether the hash is weaker than those made today.
    pub(crate) is_outdated: bool,
}

/// Hashes and verifies passwords.
pub(crate) struct Hasher {
    argon2: Argon2<'static>,
    /// Compared to when there is no account, so that this takes as long as when there is one.
    dummy: String,
    admission: Admission,
    failure_time: FailureTime,
}

impl Hasher {
    /// A hasher on `threads` threads with `waiting` places in its queue. A failure takes at least `shortest_failure`.
    pub(crate) fn new(
        parameters: Argon2Parameters,
        threads: usize,
        waiting: usize,
        shortest_failure: Duration,
    ) -> Result<Self, HashingFailed> {
        let Argon2Parameters {
            memory_kib,
            iterations,
            parallelism,
        } = parameters;
        let params = Params::new(memory_kib, iterations, parallelism, None).map_err(failed)?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        Ok(Self {
            argon2,
            dummy: dummy(parameters),
            admission: Admission::new(threads, waiting),
            failure_time: FailureTime::new(shortest_failure),
        })
    }

    /// Waits for the right to hash.
    ///
    /// # Errors
    /// When too many wait already, or it took too long.
    pub(crate) async fn admit(&self, asker: Asker<'_>) -> Result<Slot, HashingFailed> {
        self.admission.admit(asker).await
    }

    /// A fresh PHC string for `password`.
    pub(crate) async fn hash(&self, slot: &Slot, password: &Arc<Password>) -> Result<String, HashingFailed> {
        let argon2 = self.argon2.clone();
        let password = Arc::clone(password);
        run(slot, move || make(&argon2, password.normalized().as_bytes())).await?
    }

    /// Compares `password` to `hash`; without one it takes the same time and does not match.
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
        let (matches, took) = run(slot, move || {
            let begun = Instant::now();
            (compare(&password, &owned), begun.elapsed())
        })
        .await?;
        self.failure_time.record(hash, took);
        Ok(Verified {
            matches: matches && exists,
            is_outdated,
        })
    }

    /// Waits until a comparison that began at `since`, and failed, has taken as long as every other that fails.
    pub(crate) async fn wait_as_every_failure(&self, since: Instant) {
        self.failure_time.wait(since).await;
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

async fn run<T: Send + 'static>(
    slot: &Slot,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, HashingFailed> {
    // Held by the thread, not by the caller: who hangs up does not make the thread free.
    let held = slot.clone();
    tokio::task::spawn_blocking(move || {
        let _held = held;
        work()
    })
    .await
    .map_err(|_| HashingFailed::Broken)
}

fn make(argon2: &Argon2<'_>, password: &[u8]) -> Result<String, HashingFailed> {
    let hash: PasswordHash = argon2.hash_password(password).map_err(failed)?;
    Ok(hash.to_string())
}

/// A hash of today's cost that no password has. Nothing is hashed for it: the start of a process takes no memory for argon2.
fn dummy(parameters: Argon2Parameters) -> String {
    let Argon2Parameters {
        memory_kib,
        iterations,
        parallelism,
    } = parameters;
    let salt = STANDARD_NO_PAD.encode(random_bytes::<16>());
    let output = STANDARD_NO_PAD.encode(random_bytes::<32>());
    format!("$argon2id$v=19$m={memory_kib},t={iterations},p={parallelism}${salt}${output}")
}

/// Whether `hash` is one of bcrypt that a login can be let wait for: of a cost of 15 at most, some seconds.
pub(crate) fn is_bcrypt(hash: &str) -> bool {
    let Some((cost, rest)) = bcrypt_version(hash).and_then(|rest| rest.split_once('$')) else {
        return false;
    };
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/');
    cost.len() == 2
        && cost.parse().is_ok_and(|cost: u8| (4..=15).contains(&cost))
        && rest.len() == BCRYPT_SALT_AND_OUTPUT
        && rest.bytes().all(is_base64)
}

/// What follows the version.
fn bcrypt_version(hash: &str) -> Option<&str> {
    ["$2a$", "$2b$", "$2y$"]
        .iter()
        .find_map(|version| hash.strip_prefix(version))
}

fn compare(password: &Password, hash: &str) -> bool {
    if bcrypt_version(hash).is_some() {
        // Cuts off after 72 bytes, as the former system did when it made these.
        return bcrypt::verify(password.as_typed(), hash).unwrap_or(false);
    }
    let Ok(hash) = PasswordHash::new(hash) else {
        return false;
    };
    Argon2::default()
        .verify_password(password.normalized().as_bytes(), &hash)
        .is_ok()
}

fn failed(error: impl std::fmt::Display) -> HashingFailed {
    HashingFailed::Argon2(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: Argon2Parameters = Argon2Parameters {
        memory_kib: 64,
        iterations: 2,
        parallelism: 1,
    };

    fn password(text: &str) -> Arc<Password> {
        Arc::new(Password::new(text))
    }

    impl Hasher {
        async fn hash_now(&self, password: &Arc<Password>) -> Result<String, HashingFailed> {
            let slot = self.admit(Asker::Stranger("")).await?;
            self.hash(&slot, password).await
        }

        async fn verify_now(
            &self,
            password: &Arc<Password>,
            hash: Option<&str>,
        ) -> Result<Verified, HashingFailed> {
            let slot = self.admit(Asker::Stranger("")).await?;
            self.verify(&slot, password, hash).await
        }
    }

    fn hasher() -> Hasher {
        Hasher::new(CHEAP, 2, 8, Duration::ZERO).unwrap()
    }

    #[tokio::test]
    async fn a_password_matches_its_own_hash_only() {
        let hasher = hasher();
        let hash = hasher.hash_now(&password("plum tractor canyon")).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=64,t=2,p=1$"), "{hash}");
        let fresh = |matches| Verified {
            matches,
            is_outdated: false,
        };
        assert_eq!(
            hasher
                .verify_now(&password("plum tractor canyon"), Some(&hash))
                .await
                .unwrap(),
            fresh(true)
        );
        assert_eq!(
            hasher
                .verify_now(&password("plum tractor canyoN"), Some(&hash))
                .await
                .unwrap(),
            fresh(false)
        );
        assert_ne!(
            hasher.hash_now(&password("plum tractor canyon")).await.unwrap(),
            hash,
            "salted"
        );
    }

    #[test]
    fn nobody_has_the_dummy_and_it_costs_what_a_hash_costs() {
        let dummy = dummy(CHEAP);
        let parsed = PasswordHash::new(&dummy).unwrap();
        let made = make(&hasher().argon2, b"plum tractor canyon").unwrap();
        let made = PasswordHash::new(&made).unwrap();
        assert_eq!((parsed.algorithm, parsed.version), (made.algorithm, made.version));
        assert_eq!(parsed.params, made.params);
        let lengths = |hash: &PasswordHash| {
            (
                hash.salt.map(|salt| salt.len()),
                hash.hash.map(|output| output.len()),
            )
        };
        assert_eq!(lengths(&parsed), lengths(&made));
        let verified = Argon2::default().verify_password(b"plum tractor canyon", &parsed);
        assert!(
            matches!(verified, Err(argon2::password_hash::Error::PasswordInvalid)),
            "{verified:?}"
        );
    }

    #[tokio::test]
    async fn the_last_of_128_characters_counts() {
        let hasher = hasher();
        let hash = hasher.hash_now(&password(&"🦀".repeat(128))).await.unwrap();
        let other = format!("{}🐢", "🦀".repeat(127));
        assert!(
            hasher
                .verify_now(&password(&"🦀".repeat(128)), Some(&hash))
                .await
                .unwrap()
                .matches
        );
        assert!(
            !hasher
                .verify_now(&password(&other), Some(&hash))
                .await
                .unwrap()
                .matches
        );
    }

    #[tokio::test]
    async fn composition_makes_no_difference() {
        let hasher = hasher();
        let hash = hasher
            .hash_now(&password("caf\u{e9} tractor canyon"))
            .await
            .unwrap();
        assert!(
            hasher
                .verify_now(&password("cafe\u{301} tractor canyon"), Some(&hash))
                .await
                .unwrap()
                .matches
        );
    }

    #[tokio::test]
    async fn weaker_parameters_are_outdated_and_stronger_ones_are_not() {
        let weak = hasher();
        let strong = Hasher::new(
            Argon2Parameters {
                memory_kib: 128,
                ..CHEAP
            },
            1,
            1,
            Duration::ZERO,
        )
        .unwrap();
        let secret = password("plum tractor canyon");
        let hash = weak.hash_now(&secret).await.unwrap();
        let verified = strong.verify_now(&secret, Some(&hash)).await.unwrap();
        assert_eq!(
            verified,
            Verified {
                matches: true,
                is_outdated: true
            }
        );
        let hash = strong.hash_now(&secret).await.unwrap();
        let verified = weak.verify_now(&secret, Some(&hash)).await.unwrap();
        assert_eq!(
            verified,
            Verified {
                matches: true,
                is_outdated: false
            }
        );
    }

    #[tokio::test]
    async fn bcrypt_hashes_verify_and_are_outdated() {
        let secret = password("short");
        for prefix in ["$2a$", "$2b$", "$2y$"] {
            let hash = bcrypt::hash("short", 4).unwrap();
            let hash = format!("{prefix}{}", &hash[4..]);
            let verified = hasher().verify_now(&secret, Some(&hash)).await.unwrap();
            assert_eq!(
                verified,
                Verified {
                    matches: true,
                    is_outdated: true
                },
                "{hash}"
            );
            assert!(
                !hasher()
                    .verify_now(&password("other"), Some(&hash))
                    .await
                    .unwrap()
                    .matches
            );
        }
    }

    #[tokio::test]
    async fn nothing_matches_where_there_is_no_account() {
        let verified = hasher()
            .verify_now(&password("nobody has this password"), None)
            .await
            .unwrap();
        assert!(!verified.matches);
        assert!(
            !hasher()
                .verify_now(&password("x"), Some("not a hash"))
                .await
                .unwrap()
                .matches
        );
    }

    #[test]
    fn impossible_parameters_are_refused() {
        assert!(
            Hasher::new(
                Argon2Parameters {
                    memory_kib: 1,
                    iterations: 0,
                    parallelism: 1
                },
                1,
                1,
                Duration::ZERO,
            )
            .is_err()
        );
    }
}

//! The dependencies and the configuration of auth.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc, time::Duration};

use bus::Bus;
use database::Database;
use event_store::EventStore;
use events::{PartitionCount, Role};
use runtime::Clock;
use sealing::SubjectKeys;

use crate::password::{Argon2Parameters, DEFAULT_MIN_CHARACTERS, MIN_CHARACTERS_RANGE};

#[derive(Clone)]
pub struct Dependencies {
    /// The event store, with decrypted events.
    pub store: Arc<dyn EventStore>,
    /// The keys that encrypt personal data in events.
    pub keys: SubjectKeys,
    /// The bus, for token checks and revocations.
    pub bus: Arc<dyn Bus>,
    /// The read models, for the list of accounts.
    pub read_models: Database,
    /// The database with the counters of failed attempts, and the erasures that have begun.
    pub operations: Database,
    /// The number of partitions of the projection.
    pub partitions: PartitionCount,
    pub clock: Arc<dyn Clock>,
}

#[derive(Debug, Clone)]
pub struct Config {
    /// The directory of signing keys and of the pepper. Must not be lost: back it up with the event store.
    pub keys_directory: PathBuf,
    /// The lifetime of an access token: 7 to 15 minutes.
    pub access_token_ttl: Duration,
    /// A session ends after this time without a refresh.
    pub session_idle: Duration,
    /// Roles that are valid only in sessions with a second factor.
    pub second_factor_roles: BTreeSet<Role>,
    /// The cost of hashing a password.
    pub argon2: Argon2Parameters,
    /// The minimum length of a password in characters, 8 to 64.
    pub min_password_characters: usize,
    /// The file of breached passwords, with sorted lines `SHA-1:COUNT`.
    pub breached_passwords: Option<PathBuf>,
    /// The number of threads that hash passwords.
    pub hashing_threads: usize,
    /// The most passwords that wait for a thread, half of them from one address; more are refused.
    pub hashing_queue: usize,
    /// The minimum duration of a failed login, for any reason.
    pub failed_login_time: Duration,
    /// The most token checks in the queue.
    pub check_queue: u32,
    /// The most token checks at once in this process.
    pub check_concurrency: u16,
}

impl Config {
    /// The defaults, with the keys in `keys_directory`.
    pub fn new(keys_directory: impl Into<PathBuf>) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            keys_directory: keys_directory.into(),
            access_token_ttl: Duration::from_secs(15 * 60),
            session_idle: Duration::from_secs(3 * 24 * 60 * 60),
            second_factor_roles: BTreeSet::new(),
            argon2: Argon2Parameters::default(),
            min_password_characters: DEFAULT_MIN_CHARACTERS,
            breached_passwords: None,
            // Leaves a core for requests of people who are logged in.
            hashing_threads: cores.saturating_sub(1).max(1),
            hashing_queue: 512,
            failed_login_time: Duration::from_millis(250),
            check_queue: 1_000,
            check_concurrency: 64,
        }
    }

    /// Checks all values.
    ///
    /// # Errors
    /// A sentence about the first invalid value.
    pub fn validate(&self) -> Result<(), String> {
        let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
        if !(minutes(7)..=minutes(15)).contains(&self.access_token_ttl) {
            let seconds = self.access_token_ttl.as_secs();
            return Err(format!("access tokens must live 7 to 15 minutes, not {seconds} seconds"));
        }
        if self.session_idle < self.access_token_ttl {
            return Err("sessions must be allowed to idle at least as long as access tokens live".to_owned());
        }
        if !MIN_CHARACTERS_RANGE.contains(&self.min_password_characters) {
            return Err(format!(
                "the shortest password must have {} to {} characters",
                MIN_CHARACTERS_RANGE.start(),
                MIN_CHARACTERS_RANGE.end()
            ));
        }
        if self.hashing_threads == 0 || self.check_concurrency == 0 || self.check_queue == 0 {
            return Err(
                "hashing threads, concurrent token checks and their queue must be at least 1".to_owned()
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_tokens_live_7_to_15_minutes() {
        let with = |seconds| Config { access_token_ttl: Duration::from_secs(seconds), ..Config::new("keys") };
        assert!(Config::new("keys").validate().is_ok());
        assert!(with(7 * 60).validate().is_ok());
        assert!(with(7 * 60 - 1).validate().is_err());
        assert!(with(15 * 60 + 1).validate().is_err());
    }
}

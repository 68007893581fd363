//! What auth stands on, and what an operator can choose about it.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc, time::Duration};

use bus::Bus;
use database::Database;
use event_store::EventStore;
use events::{PartitionCount, Role};
use runtime::{Clock, Metrics};
use sealing::SubjectKeys;

use crate::password::{Argon2Parameters, DEFAULT_MIN_CHARACTERS, MIN_CHARACTERS_RANGE};

/// What auth stands on.
#[derive(Clone)]
pub struct Dependencies {
    /// The truth, with the events in clear.
    pub store: Arc<dyn EventStore>,
    /// The keys under which what is personal in events is sealed.
    pub keys: SubjectKeys,
    /// For token checks and revocations.
    pub bus: Arc<dyn Bus>,
    /// To list accounts.
    pub read_models: Database,
    /// The counters of failed attempts, and the erasures that have begun.
    pub operations: Database,
    /// Into how many partitions the log is projected.
    pub partitions: PartitionCount,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// What is measured.
    pub metrics: Metrics,
}

/// What an operator can choose about auth.
#[derive(Debug, Clone)]
pub struct Config {
    /// The directory of signing keys and of the pepper. Precious: back it up with the event store.
    pub keys_directory: PathBuf,
    /// `iss` of access tokens.
    pub issuer: String,
    /// `aud` of access tokens.
    pub audience: String,
    /// How long an access token is good: 7 to 15 minutes.
    pub access_token_ttl: Duration,
    /// How long a session lasts from its login.
    pub session_ttl: Duration,
    /// After how long without a refresh a session ends.
    pub session_idle: Duration,
    /// Roles that count only in sessions that began with a second factor.
    pub second_factor_roles: BTreeSet<Role>,
    /// What hashing a password costs.
    pub argon2: Argon2Parameters,
    /// Characters of the shortest password, 8 to 64.
    pub min_password_characters: usize,
    /// File of passwords that were found in breaches, `SHA-1:COUNT` in order.
    pub breached_passwords: Option<PathBuf>,
    /// Threads that hash passwords.
    pub hashing_threads: usize,
    /// Passwords that may wait for a thread, half of them from one address; more are sent away.
    pub hashing_queue: usize,
    /// How long a failed login takes at least, whatever made it fail.
    pub failed_login_time: Duration,
    /// Token checks that may wait in the queue.
    pub check_queue: u32,
    /// Token checks worked on at once by this process.
    pub check_concurrency: u16,
}

impl Config {
    /// The defaults, with the keys in `keys_directory`.
    #[must_use]
    pub fn new(keys_directory: impl Into<PathBuf>) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            keys_directory: keys_directory.into(),
            issuer: auth_client::DEFAULT_ISSUER.to_owned(),
            audience: auth_client::DEFAULT_ISSUER.to_owned(),
            access_token_ttl: Duration::from_secs(15 * 60),
            session_ttl: Duration::from_secs(7 * 24 * 60 * 60),
            session_idle: Duration::from_secs(3 * 24 * 60 * 60),
            second_factor_roles: BTreeSet::new(),
            argon2: Argon2Parameters::default(),
            min_password_characters: DEFAULT_MIN_CHARACTERS,
            breached_passwords: None,
            // Whoever is logged in already needs cores, too.
            hashing_threads: cores.saturating_sub(1).max(1),
            hashing_queue: 512,
            failed_login_time: Duration::from_millis(250),
            check_queue: 1_000,
            check_concurrency: 64,
        }
    }

    /// Whether every value can be used.
    ///
    /// # Errors
    /// A sentence about the first that cannot.
    pub fn validate(&self) -> Result<(), String> {
        let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
        if !(minutes(7)..=minutes(15)).contains(&self.access_token_ttl) {
            let seconds = self.access_token_ttl.as_secs();
            return Err(format!(
                "access tokens must live 7 to 15 minutes, not {seconds} seconds"
            ));
        }
        if self.session_ttl < self.access_token_ttl {
            return Err("sessions must live at least as long as access tokens".to_owned());
        }
        if self.session_idle < self.access_token_ttl {
            return Err("sessions must be allowed to idle at least as long as access tokens live".to_owned());
        }
        if self.issuer.is_empty() || self.audience.is_empty() {
            return Err("the issuer and the audience of access tokens must not be empty".to_owned());
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
                "hashing threads, concurrent token checks and their queue must be at least 1".to_owned(),
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
        let with = |seconds| Config {
            access_token_ttl: Duration::from_secs(seconds),
            ..Config::new("keys")
        };
        assert!(Config::new("keys").validate().is_ok());
        assert!(with(7 * 60).validate().is_ok());
        assert!(with(7 * 60 - 1).validate().is_err());
        assert!(with(15 * 60 + 1).validate().is_err());
    }
}

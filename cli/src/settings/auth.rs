//! The settings of accounts, tokens and keys.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};
use audit_tree::WitnessAddress;
use clap::Args;
use events::Role;
use runtime::is_pipe;
use sealing::MasterKeys;

use super::secret::{SecretFile, secret};

/// The file in the keys directory with the key that signs page cursors.
const CURSOR_KEY: &str = "cursor-key";
/// The file in the keys directory with the keys that wrap the keys of people.
const MASTER_KEYS: &str = "master-keys";

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Keys and tokens")]
pub(crate) struct Auth {
    /// Directory of the signing keys and the email pepper [default: DATA_DIR/keys]
    #[arg(long, env = "TASKLEDGER_KEYS_DIR", value_name = "DIR")]
    keys_dir: Option<PathBuf>,
    /// Prefix of the origin of the audit tree: a name that only you sign with, preferably a domain and a path
    #[arg(long, env = "TASKLEDGER_AUDIT_ORIGIN", default_value = "taskledger.local", value_name = "NAME",
          value_parser = parse_origin)]
    pub(crate) audit_origin: String,
    /// Witnesses that are shown the checkpoints of the audit tree, each `<verifier key>@<URL>`, separated by commas
    #[arg(long, env = "TASKLEDGER_AUDIT_WITNESSES", value_delimiter = ',', value_name = "WITNESSES")]
    pub(crate) audit_witnesses: Vec<WitnessAddress>,
    /// Lifetime of an access token in minutes, 7 to 15
    #[arg(long, env = "TASKLEDGER_ACCESS_TOKEN_MINUTES", default_value_t = 15, value_name = "N",
          value_parser = clap::value_parser!(u8).range(7..=15))]
    pub(crate) access_token_minutes: u8,
    /// Hours without a refresh after which a session ends, 1 to 168
    #[arg(long, env = "TASKLEDGER_SESSION_IDLE_HOURS", default_value_t = 72, value_name = "N",
          value_parser = clap::value_parser!(u16).range(1..=168))]
    pub(crate) session_idle_hours: u16,
    /// Roles that count only in sessions that began with a second factor: admin, auditor, user, separated by commas
    #[arg(long, env = "TASKLEDGER_SECOND_FACTOR_ROLES", value_delimiter = ',', value_name = "ROLES")]
    pub(crate) second_factor_roles: Vec<Role>,
    /// Memory of one password hash, in KiB, at least 19456
    #[arg(long, env = "TASKLEDGER_ARGON2_MEMORY_KIB", default_value_t = 19_456, value_name = "KIB",
          value_parser = clap::value_parser!(u32).range(19_456..=4_194_304))]
    pub(crate) argon2_memory_kib: u32,
    /// Passes of one password hash, at least 2
    #[arg(long, env = "TASKLEDGER_ARGON2_PASSES", default_value_t = 2, value_name = "N",
          value_parser = clap::value_parser!(u32).range(2..=64))]
    pub(crate) argon2_passes: u32,
    /// Lanes of one password hash; they are computed one after the other
    #[arg(long, env = "TASKLEDGER_ARGON2_LANES", default_value_t = 1, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=16))]
    pub(crate) argon2_lanes: u32,
    /// Characters of the shortest password, 8 to 64; below 15 only with a second factor
    #[arg(long, env = "TASKLEDGER_PASSWORD_MIN_CHARACTERS", default_value_t = 15, value_name = "N",
          value_parser = clap::value_parser!(u8).range(8..=64))]
    pub(crate) password_min_characters: u8,
    /// File of passwords that were found in breaches, lines of SHA-1:COUNT in order
    #[arg(long, env = "TASKLEDGER_BREACHED_PASSWORDS", value_name = "FILE")]
    pub(crate) breached_passwords: Option<PathBuf>,
    /// Master keys that wrap the keys of people, 64 hex digits each, separated by commas; the first wraps [default:
    /// kept in KEYS_DIR/master-keys]
    #[arg(long, env = "TASKLEDGER_MASTER_KEYS", value_name = "HEX", hide_env_values = true)]
    master_keys: Option<String>,
    /// File that holds the master keys, one a line; it is read again when it changes, unless it is a pipe
    #[arg(long, env = "TASKLEDGER_MASTER_KEYS_FILE", value_name = "FILE")]
    master_keys_file: Option<SecretFile>,
    /// Key that signs page cursors, 64 hex digits [default: kept in KEYS_DIR/cursor-key]
    #[arg(long, env = "TASKLEDGER_CURSOR_KEY", value_name = "HEX", hide_env_values = true)]
    cursor_key: Option<String>,
    /// File that holds the key that signs page cursors
    #[arg(long, env = "TASKLEDGER_CURSOR_KEY_FILE", value_name = "FILE")]
    cursor_key_file: Option<SecretFile>,
}

impl Auth {
    /// The directory of the signing keys and the email pepper, by default in `data_dir`.
    pub(super) fn keys_dir(&self, data_dir: &Path) -> PathBuf {
        self.keys_dir.clone().unwrap_or_else(|| data_dir.join("keys"))
    }

    /// The master keys that wrap the keys of people. They are configured, or kept in `keys_dir`, where they are
    /// created if `may_create` is true.
    pub(super) fn master_keys(&self, keys_dir: &Path, may_create: bool) -> anyhow::Result<MasterKeys> {
        match self.configured_master_keys()? {
            Some(keys) => Ok(keys),
            None => Ok(MasterKeys::open_or_create(&keys_dir.join(MASTER_KEYS), may_create)?),
        }
    }

    fn configured_master_keys(&self) -> anyhow::Result<Option<MasterKeys>> {
        const NAME: &str = "TASKLEDGER_MASTER_KEYS";
        Ok(match (&self.master_keys, &self.master_keys_file) {
            (Some(_), Some(_)) => bail!("both {NAME} and {NAME}_FILE are set: set one of them"),
            (Some(text), None) => Some(MasterKeys::from_setting(NAME, text)?),
            (None, Some(file)) => {
                let path = file.path();
                let keys = match is_pipe(Some(path)) {
                    true => MasterKeys::from_pipe(path, &file.read(NAME)?),
                    // The file is read again when it changes.
                    false => MasterKeys::from_file(path),
                };
                Some(keys.with_context(|| format!("{NAME}_FILE"))?)
            }
            (None, None) => None,
        })
    }

    /// Checks the keys that are configured. None is created, and no pipe is read that the start has to read again.
    pub(super) fn check_keys(&self) -> anyhow::Result<()> {
        if !is_pipe(self.master_keys_file.as_ref().map(SecretFile::path)) {
            self.configured_master_keys()?;
        }
        self.configured_cursor_key().map(drop)
    }

    pub(crate) fn access_token_lifetime(&self) -> Duration {
        Duration::from_secs(u64::from(self.access_token_minutes) * 60)
    }

    /// The key that signs page cursors. It is configured, or kept in `keys_dir`, where the first start creates it.
    pub(super) fn cursor_key(&self, keys_dir: &Path) -> anyhow::Result<[u8; 32]> {
        match self.configured_cursor_key()? {
            Some(key) => Ok(key),
            None => parse_cursor_key(
                &keys_dir.join(CURSOR_KEY).display().to_string(),
                &crate::secrets::read_or_create(keys_dir, CURSOR_KEY)?,
            ),
        }
    }

    fn configured_cursor_key(&self) -> anyhow::Result<Option<[u8; 32]>> {
        const NAME: &str = "TASKLEDGER_CURSOR_KEY";
        let text = secret(NAME, &self.cursor_key, &self.cursor_key_file)?;
        text.map(|text| parse_cursor_key(NAME, &text)).transpose()
    }

    /// Where the master keys are, as it is shown.
    pub(super) fn place_of_master_keys(&self, keys_dir: &Path) -> String {
        place(
            &self.master_keys,
            self.master_keys_file.as_ref().map(SecretFile::path),
            &keys_dir.join(MASTER_KEYS),
        )
    }

    /// Where the key that signs page cursors is, as it is shown.
    pub(super) fn place_of_cursor_key(&self, keys_dir: &Path) -> String {
        place(
            &self.cursor_key,
            self.cursor_key_file.as_ref().map(SecretFile::path),
            &keys_dir.join(CURSOR_KEY),
        )
    }
}

fn place(value: &Option<String>, file: Option<&Path>, kept: &Path) -> String {
    match (value, file) {
        (Some(_), _) => "***".to_owned(),
        (None, Some(file)) => format!("(in {})", file.display()),
        (None, None) => format!("(kept in {})", kept.display()),
    }
}

fn parse_cursor_key(place: &str, text: &str) -> anyhow::Result<[u8; 32]> {
    crate::secrets::parse_key(text)
        .with_context(|| format!("{place}: the key that signs page cursors must be 64 hex digits"))
}

fn parse_origin(text: &str) -> Result<String, String> {
    let is_name = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'+');
    if is_name && text.len() <= 200 {
        Ok(text.trim_end_matches('/').to_owned())
    } else {
        Err("expected up to 200 visible ASCII characters without `+`".to_owned())
    }
}

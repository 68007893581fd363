//! The keys that sign access tokens: which there are, a new one, and away with an old one.

use std::process::ExitCode;

use ::events::Timestamp;
use auth::keys::{self, KeyState, KeyUse, SigningAlgorithm};
use clap::{Subcommand, ValueEnum};

use crate::{output, platform, settings::Settings};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the keys, the oldest first
    List,
    /// Publish a new key, which signs once `rotate` says so
    ///
    /// Where replicas of auth have directories of their own, copy the file to all of them before you rotate.
    Generate {
        /// How it signs
        #[arg(long, value_enum, default_value_t = Algorithm::Eddsa)]
        algorithm: Algorithm,
    },
    /// Let the newest published key sign, half a minute from now; make one if there is none
    Rotate {
        /// How a key signs that is made for it
        #[arg(long, value_enum, default_value_t = Algorithm::Eddsa)]
        algorithm: Algorithm,
    },
    /// Remove a key for good, once the tokens that it has signed have run out
    Retire {
        /// Its id, as `list` shows it
        kid: String,
        /// Also while its tokens are good: they are refused from then on
        #[arg(long)]
        force: bool,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Algorithm {
    /// Ed25519
    Eddsa,
    /// ECDSA over P-256
    Es256,
}

impl From<Algorithm> for SigningAlgorithm {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Eddsa => Self::EdDsa,
            Algorithm::Es256 => Self::Es256,
        }
    }
}

pub(crate) fn run(settings: &Settings, command: Command) -> anyhow::Result<ExitCode> {
    let directory = settings.keys_dir();
    let now = platform::clock().now();
    match command {
        Command::List => {
            for key in keys::list(&directory, now)? {
                line(&key)?;
            }
        }
        Command::Generate { algorithm } => line(&keys::generate(&directory, algorithm.into())?)?,
        Command::Rotate { algorithm } => line(&keys::rotate(&directory, algorithm.into(), now)?)?,
        Command::Retire { kid, force } => {
            let seconds = i64::try_from(settings.access_token_lifetime().as_secs())?;
            let retired = keys::retire(&directory, &kid, force, seconds, now)?;
            output::line(&format!("{} is removed", retired.kid))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn line(key: &KeyState) -> anyhow::Result<()> {
    let from = |from: Timestamp| format!("signs from {from} on");
    let used = match key.used {
        KeyUse::Next => "published".to_owned(),
        KeyUse::SignsFrom(instant) => from(instant),
        KeyUse::Signs => "signs".to_owned(),
        KeyUse::Verifies => "verifies".to_owned(),
    };
    let (kid, algorithm, path) = (&key.kid, key.algorithm.name(), key.path.display());
    output::line(&format!("{kid}  {algorithm}  {used}  {path}"))
}

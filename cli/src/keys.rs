//! The keys that sign access tokens: which there are, a new one, and away with an old one. Likewise the master keys, which wrap
//! the keys of people.

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
    /// Look after the master keys, which wrap the keys under which people's data are sealed
    #[command(subcommand)]
    Master(MasterCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum MasterCommand {
    /// List the ids of the master keys, the one that wraps first
    List,
    /// Put a new master key first, and wrap the keys of all people by it
    ///
    /// Can be broken off and run again. A second new key is made only after `retire`. Where TASKLEDGER_MASTER_KEYS gives the
    /// keys, put the new one before the old in every process first.
    Rotate,
    /// Remove the old master keys from their file, once nothing is wrapped by them
    Retire,
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

pub(crate) async fn run(settings: &Settings, command: Command) -> anyhow::Result<ExitCode> {
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
        Command::Master(command) => return master(settings, command).await,
    }
    Ok(ExitCode::SUCCESS)
}

async fn master(settings: &Settings, command: MasterCommand) -> anyhow::Result<ExitCode> {
    let keys = platform::event_log(settings).await?.keys;
    let master_keys = keys.master_keys();
    match command {
        MasterCommand::List => {
            for (number, id) in master_keys.ids().iter().enumerate() {
                let used = if number == 0 { "wraps" } else { "unwraps" };
                output::line(&format!("{id}  {used}  {}", master_keys.place()))?;
            }
        }
        MasterCommand::Rotate => {
            if let [first, old, ..] = master_keys.ids().as_slice() {
                output::line(&format!(
                    "no key is made, since there is {first} beside {old} already, which `keys master retire` takes away"
                ))?;
            } else if let Some(id) = master_keys.add().await? {
                output::line(&format!("{id} is first in {}", master_keys.place()))?;
            }
            let rewrapped = keys.rewrap().await?;
            output::line(&format!("{} keys of people are wrapped again", rewrapped.keys))?;
            for subject in &rewrapped.damaged {
                crate::complain(&format!("the key of {subject} is damaged, and left as it is"));
            }
            if !rewrapped.damaged.is_empty() {
                return Ok(ExitCode::FAILURE);
            }
        }
        MasterCommand::Retire => {
            let kept = master_keys.ids().into_iter().next().unwrap_or_default();
            keys.forget_old_master_keys().await?;
            output::line(&format!(
                "nothing is wrapped by another master key than {kept}, the only one that is needed in {}",
                master_keys.place()
            ))?;
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

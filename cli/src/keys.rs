//! Lists, creates, rotates and removes the keys that sign access tokens, and the master keys that wrap the keys of
//! people.

use std::{collections::BTreeSet, path::Path, process::ExitCode, sync::Arc};

use ::events::{CorrelationId, Timestamp, UserId};
use anyhow::{Context as _, bail};
use auth::keys::{self, KeyState, KeyUse, SigningAlgorithm};
use clap::{Subcommand, builder::TypedValueParser};
use database::{Database, Schema};
use event_store::{EventStore, SqlStore};
use runtime::masked;
use sealing::{Comparison, SubjectKeys, erased_people};

use crate::{
    choice::one_of,
    existing_log, lost_log,
    operation::{Attribution, Conclusion},
    output,
    platform::{self, EventLog},
    progress::{ProgressDisplay, watch},
    settings::Settings,
    watched_log::WatchedLog,
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the keys, the oldest first
    List,
    /// Publish a new key, which signs once `rotate` says so
    ///
    /// Where replicas of auth have directories of their own, copy the file to all of them before you rotate.
    Generate {
        /// Signature algorithm
        #[arg(long, default_value = "eddsa", value_parser = algorithm())]
        algorithm: SigningAlgorithm,
        #[command(flatten)]
        attribution: Attribution,
    },
    /// Let the newest published key sign, half a minute from now; make one if there is none
    Rotate {
        /// Signature algorithm of a key that is created
        #[arg(long, default_value = "eddsa", value_parser = algorithm())]
        algorithm: SigningAlgorithm,
        #[command(flatten)]
        attribution: Attribution,
    },
    /// Remove a key for good, after the tokens that it has signed have expired
    Retire {
        /// Its id, as `list` shows it
        #[arg(allow_hyphen_values = true)] // one id of 64 begins with a hyphen
        kid: String,
        /// Remove it even while its tokens are valid: they are refused from then on
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        attribution: Attribution,
    },
    /// Copy the keys of people from another database, before their events are imported
    ///
    /// The master keys that wrap them have to be here already. People who were erased stay erased: the log here and
    /// the one of the other place are checked. May be run again.
    Copy {
        /// Where they are: `postgres://…`, or `sqlite:` and the path of a file `subject-keys.db`
        #[arg(long, value_name = "URL")]
        from: String,
        /// Where the log of that place is, if it is not beside the keys: as EVENT_STORE_URL, or `sqlite:` and the path
        /// of a file `events.db`
        #[arg(long, value_name = "URL")]
        from_log: Option<String>,
        #[command(flatten)]
        attribution: Attribution,
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
    /// Names the people whose key is damaged or lost, and then ends with exit code 1. Can be interrupted and run again.
    /// A second new key is made only after `retire`. Where TASKLEDGER_MASTER_KEYS gives the keys, put the new one
    /// before the old in every process first.
    Rotate {
        #[command(flatten)]
        attribution: Attribution,
    },
    /// Remove the old master keys from their file, once nothing is wrapped by them
    ///
    /// Refused while a person's key is damaged or lost, since its backup may need an old master key.
    Retire {
        #[command(flatten)]
        attribution: Attribution,
    },
}

fn algorithm() -> impl TypedValueParser<Value = SigningAlgorithm> {
    one_of([
        ("eddsa", "Ed25519", SigningAlgorithm::EdDsa),
        ("es256", "ECDSA over P-256", SigningAlgorithm::Es256),
    ])
}

pub(crate) async fn run(settings: &Settings, command: Command) -> anyhow::Result<ExitCode> {
    let directory = &settings.keys_dir();
    let now = platform::clock().now();
    match command {
        Command::List => {
            for key in keys::list(directory, now)? {
                output::line(&shown(&key))?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Generate { algorithm, attribution } => {
            let generate = async |_| made(&keys::generate(directory, algorithm)?);
            record(settings, &attribution, "keys generate", generate).await
        }
        Command::Rotate { algorithm, attribution } => {
            let rotate = async |_| made(&keys::rotate(directory, algorithm, now)?);
            record(settings, &attribution, "keys rotate", rotate).await
        }
        Command::Retire { kid, force, attribution } => {
            let seconds = i64::try_from(settings.auth.access_token_lifetime().as_secs())?;
            let retire = async |_| {
                let retired = keys::retire(directory, &kid, force, seconds, now)?;
                output::say(&format!("{} is removed", retired.kid));
                Ok(Conclusion::succeeded().with_result(retired.kid))
            };
            let mut command = "keys retire".to_owned();
            // An unknown id is refused before it is recorded for ever, since it may be any text, even a secret.
            if keys::list(directory, now)?.iter().any(|key| key.kid == kid) {
                command.push(' ');
                command.push_str(&kid);
            }
            if force {
                command.push_str(" --force");
            }
            record(settings, &attribution, &command, retire).await
        }
        Command::Copy { from, from_log, attribution } => {
            copy(settings, &from, from_log.as_deref(), &attribution).await
        }
        Command::Master(command) => master(settings, command).await,
    }
}

/// Records and runs a command about keys. It fails without a log, since keys belong to a system that runs or has run.
async fn record(
    settings: &Settings,
    attribution: &Attribution,
    command: &str,
    act: impl AsyncFnOnce(CorrelationId) -> anyhow::Result<Conclusion>,
) -> anyhow::Result<ExitCode> {
    let store = existing_log::event_store(settings).await?;
    attribution.record(settings, &*store, command, act).await
}

/// Copies keys and records it, unless there is no log yet or only a part of one. Nothing is copied where the log is
/// lost, since only that log knows who was erased here and gets no key back.
async fn copy(
    settings: &Settings,
    from: &str,
    log: Option<&str>,
    attribution: &Attribution,
) -> anyhow::Result<ExitCode> {
    let storage = &settings.storage;
    let source = platform::find_at(from, Schema::SubjectKeys)
        .await?
        .with_context(|| format!("there are no keys of people at {}", masked(from)))?;
    let here = platform::find_event_store(storage).await?;
    lost_log::refuse_to_replace(settings, here.as_deref()).await?;
    let mut erased = BTreeSet::new();
    match log_of(from, log).await? {
        Some(log) => erased.extend(erased_of(log).await?),
        None => crate::complain(
            "the log of these keys is not beside them, so it was not asked who was erased: say with --from-log where it is, if there is one",
        ),
    }
    if let Some(here) = &here {
        erased.extend(erased_of(Arc::clone(here)).await?);
    }
    let database = platform::database(storage, Schema::SubjectKeys).await?;
    let keys = SubjectKeys::open(database, settings.master_keys(false)?, platform::clock()).await?;
    let act = async |_| {
        let mut display = ProgressDisplay::of_a_number();
        let copied = keys.copy_from(&source, &erased, |keys| display.count(keys, "keys")).await;
        display.end();
        let copied = copied?;
        let result = format!(
            "{} copied, {} destroyed, since their people were erased",
            output::counted(copied.keys, "key"),
            output::counted(copied.destroyed, "key")
        );
        output::say(&result);
        Ok(Conclusion::succeeded().with_result(result))
    };
    match here {
        Some(here) => attribution.record_if_there_is_a_log(settings, &*here, "keys copy", act).await,
        None => Ok(act(CorrelationId::default()).await?.exit_code()),
    }
}

async fn erased_of(log: Arc<dyn EventStore>) -> anyhow::Result<BTreeSet<UserId>> {
    let log = WatchedLog::over(log);
    Ok(watch(&log, erased_people(&*log)).await?)
}

/// The log of the system whose keys are at `keys`. It is at `log`, or by default beside the keys.
async fn log_of(keys: &str, log: Option<&str>) -> anyhow::Result<Option<Arc<dyn EventStore>>> {
    if let Some(url) = log.filter(|url| event_store::is_kurrentdb(url)) {
        return Ok(Some(event_store::open(url, 1).await?));
    }
    let beside = match keys.strip_prefix("sqlite:") {
        Some(file) => Database::file_url(&Path::new(file).with_file_name("events.db")),
        None => keys.to_owned(),
    };
    let database = platform::find_at(log.unwrap_or(&beside), Schema::EventStore).await?;
    if let (None, Some(url)) = (&database, log) {
        bail!("there is no log of this release at {}", masked(url));
    }
    Ok(database.map(|database| Arc::new(SqlStore::new(database)) as Arc<dyn EventStore>))
}

async fn master(settings: &Settings, command: MasterCommand) -> anyhow::Result<ExitCode> {
    match command {
        MasterCommand::List => list_master(settings).await,
        MasterCommand::Rotate { attribution } => {
            let EventLog { stored, keys, .. } = existing_log::event_log(settings).await?;
            let rotate = async |_| rotate_master(&stored, &keys).await;
            attribution.record(settings, &*stored, "keys master rotate", rotate).await
        }
        MasterCommand::Retire { attribution } => {
            let EventLog { stored, keys, .. } = existing_log::event_log(settings).await?;
            let retire = async |_| retire_master(&stored, &keys).await;
            attribution.record(settings, &*stored, "keys master retire", retire).await
        }
    }
}

async fn list_master(settings: &Settings) -> anyhow::Result<ExitCode> {
    // Those of another system are an error.
    platform::existing_subject_keys(settings).await?;
    let master_keys = settings.master_keys(false)?;
    for (number, id) in master_keys.ids().iter().enumerate() {
        let used = if number == 0 { "wraps" } else { "unwraps" };
        output::line(&format!("{id}  {used}  {}", master_keys.place()))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn rotate_master(stored: &Arc<dyn EventStore>, keys: &SubjectKeys) -> anyhow::Result<Conclusion> {
    let master_keys = keys.master_keys();
    let lock = master_keys.lock_file().await?;
    if let [first, old, ..] = master_keys.ids().as_slice() {
        output::say(&format!(
            "no key is made, since there is {first} beside {old} already, which `keys master retire` takes away"
        ));
    } else if let Some(id) = master_keys.add(&lock).await? {
        output::say(&format!("{id} is first in {}", master_keys.place()));
    }
    let rewrapped = keys.rewrap().await?;
    output::say(&format!("{} keys of people are wrapped again", rewrapped.keys));
    for subject in &rewrapped.damaged {
        crate::complain(&format!("the key of {subject} is damaged, and left as it is"));
    }
    let lost = compared(stored, keys).await?.lost;
    for subject in &lost {
        crate::complain(&format!(
            "the key of {subject} is lost: restore its row of `data_keys` from a backup of the keys, and rotate again"
        ));
    }
    let conclusion = Conclusion::of(rewrapped.damaged.is_empty() && lost.is_empty());
    let first = master_keys.ids().into_iter().next().unwrap_or_default();
    Ok(conclusion.with_result(format!("{first} wraps, {} keys of people wrapped again", rewrapped.keys)))
}

/// Removes the old master keys, unless a person's key has to come from a backup, where an old one may wrap it.
async fn retire_master(stored: &Arc<dyn EventStore>, keys: &SubjectKeys) -> anyhow::Result<Conclusion> {
    let master_keys = keys.master_keys();
    let lock = master_keys.lock_file().await?;
    let Comparison { lost, damaged, .. } = compared(stored, keys).await?;
    for (people, how) in [(&lost, "lost"), (&damaged, "damaged")] {
        for subject in people {
            crate::complain(&format!("the key of {subject} is {how}"));
        }
    }
    if !lost.is_empty() || !damaged.is_empty() {
        bail!(
            "no master key is removed, since the backups of these keys may need an old one: restore their rows of \
             `data_keys` and run `taskledger keys master rotate` again, or, if no backup has them, erase these people \
             with `taskledger users erase`"
        );
    }
    let kept = master_keys.ids().into_iter().next().unwrap_or_default();
    keys.forget_old_master_keys(&lock).await?;
    output::say(&format!(
        "nothing is wrapped by another master key than {kept}, the only one that is needed in {}",
        master_keys.place()
    ));
    Ok(Conclusion::succeeded().with_result(format!("{kept} is left")))
}

/// The people whose key does not fit the log. The whole log is read.
async fn compared(stored: &Arc<dyn EventStore>, keys: &SubjectKeys) -> anyhow::Result<Comparison> {
    let log = WatchedLog::over(Arc::clone(stored));
    Ok(watch(&log, keys.compare(&*log)).await?)
}

/// Prints a key that was created or changed.
fn made(key: &KeyState) -> anyhow::Result<Conclusion> {
    output::say(&shown(key));
    Ok(Conclusion::succeeded().with_result(key.kid.to_string()))
}

fn shown(key: &KeyState) -> String {
    let from = |from: Timestamp| format!("signs from {from} on");
    let used = match key.used {
        KeyUse::Next => "published".to_owned(),
        KeyUse::SignsFrom(instant) => from(instant),
        KeyUse::Signs => "signs".to_owned(),
        KeyUse::Verifies => "verifies".to_owned(),
    };
    let (kid, algorithm, path) = (&key.kid, key.algorithm.name(), key.path.display());
    format!("{kid}  {algorithm}  {used}  {path}")
}

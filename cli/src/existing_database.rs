//! Opens databases of what is derived from the log, for commands that need one. Nothing is created or migrated.

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use audit_tree::AuditTree;
use database::{Database, Schema};
use runtime::masked;

use crate::{lost_log, platform, settings::Settings};

pub(crate) async fn read_models(settings: &Settings) -> anyhow::Result<Database> {
    existing(settings, Schema::ReadModels).await
}

pub(crate) async fn audit_tree(settings: &Settings) -> anyhow::Result<AuditTree> {
    Ok(AuditTree::new(existing(settings, Schema::AuditTree).await?))
}

async fn existing(settings: &Settings, schema: Schema) -> anyhow::Result<Database> {
    match platform::find(&settings.storage, schema).await? {
        Some(database) => Ok(database),
        None => Err(absence(settings, schema).await?),
    }
}

/// The error for an operator who needs the database of `schema`, which does not exist. Where the log is lost, or there
/// is a backup, it says so, and does not recommend what would put an empty database in its place.
pub(crate) async fn absence(settings: &Settings, schema: Schema) -> anyhow::Result<anyhow::Error> {
    let lost = match loss(settings).await {
        // Another database is missing, and a log that cannot be read from here is not known to be lost.
        Err(_) if schema != Schema::EventStore => None,
        lost => lost?,
    };
    if let Some(sentence) = lost {
        return Ok(anyhow!(sentence));
    }
    let storage = &settings.storage;
    let url = platform::database_url(storage, schema)?;
    let is_absent = format!("there is no {} database at {}", schema.name(), masked(&url));
    Ok(match backup_beside(&url) {
        Some((name, backup)) => anyhow!(
            "{is_absent}, but {} looks like a backup of it: restore it, or, to look into it, copy it as {name} to a \
             directory of its own, and name that with --data-dir",
            backup.display()
        ),
        None => anyhow!("{is_absent}: start the system, or run `taskledger migrate`"),
    })
}

/// The sentence for the operator if the log is lost.
async fn loss(settings: &Settings) -> anyhow::Result<Option<String>> {
    let log = platform::find_event_store(&settings.storage).await?;
    lost_log::loss(settings, log.as_deref()).await
}

/// The name of the SQLite file at `url`, and a backup of it in the same directory.
fn backup_beside(url: &str) -> Option<(String, PathBuf)> {
    let file = Path::new(url.strip_prefix("sqlite:")?);
    let name = file.file_name()?.to_str()?.to_owned();
    let backups = [file.with_extension("bak"), file.with_file_name(format!("{name}.bak"))];
    let backup = backups.into_iter().find(|backup| backup.exists())?;
    Some((name, backup))
}

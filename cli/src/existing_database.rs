//! Opens databases of what is derived from the log, for commands that need one. Nothing is created or migrated.

use anyhow::anyhow;
use audit_tree::AuditTree;
use database::{Database, Schema, masked};

use crate::{lost_log, platform, settings::Settings};

/// Opens the read models for reading.
pub(crate) async fn read_models(settings: &Settings) -> anyhow::Result<Database> {
    existing(settings, Schema::ReadModels).await
}

/// Opens the audit tree for reading.
pub(crate) async fn audit_tree(settings: &Settings) -> anyhow::Result<AuditTree> {
    Ok(AuditTree::new(existing(settings, Schema::AuditTree).await?))
}

async fn existing(settings: &Settings, schema: Schema) -> anyhow::Result<Database> {
    match platform::find(&settings.storage, schema).await? {
        Some(database) => Ok(database),
        None => Err(absence(settings, schema).await?),
    }
}

/// The error for an operator who needs the database of `schema`, which does not exist. Where the log is lost it says so,
/// and does not recommend what would put an empty one in its place.
pub(crate) async fn absence(settings: &Settings, schema: Schema) -> anyhow::Result<anyhow::Error> {
    let storage = &settings.storage;
    let log = platform::find_event_store(storage).await?;
    if let Some(sentence) = lost_log::loss(settings, log.as_deref()).await? {
        return Ok(anyhow!(sentence));
    }
    Ok(anyhow!(
        "there is no {} database at {}: start the system, or run `taskledger migrate`",
        schema.name(),
        masked(&platform::database_url(storage, schema)?)
    ))
}

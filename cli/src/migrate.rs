//! Brings every database schema up to date, for those who give DDL rights to one job only.

use std::collections::BTreeSet;

use database::Schema;

use crate::{data_dir, platform, settings::Settings};

pub(crate) async fn run(settings: &Settings) -> anyhow::Result<()> {
    let storage = &settings.storage;
    let _lock = match storage.database_url()? {
        Some(_) => None,
        None => Some(data_dir::lock(&storage.data_dir)?),
    };
    let mut done = BTreeSet::new();
    for schema in [
        Schema::EventStore,
        Schema::SubjectKeys,
        Schema::Operations,
        Schema::AuditTree,
        Schema::ReadModels,
    ] {
        // KurrentDB has no schema of ours.
        if event_store::is_kurrentdb(&platform::database_url(storage, schema)?) {
            continue;
        }
        let database = platform::database(storage, schema).await?;
        done.insert(format!("{:<12} {}\n", schema.name(), database.url()));
    }
    crate::print(&format!("Up to date:\n{}", done.into_iter().collect::<String>()));
    Ok(())
}

//! Migrates every database schema, for deployments in which only one job may change schemas.

use std::{collections::BTreeSet, process::ExitCode};

use clap::Args;
use database::{DatabaseError, Schema};

use crate::{
    data_dir, lost_log,
    operation::{Attribution, Conclusion},
    output, platform,
    settings::Settings,
};

const SCHEMAS: [Schema; 5] =
    [Schema::EventStore, Schema::SubjectKeys, Schema::Operations, Schema::AuditTree, Schema::ReadModels];

#[derive(Debug, Args)]
pub(crate) struct Migrate {
    #[command(flatten)]
    attribution: Attribution,
}

pub(crate) async fn run(settings: &Settings, command: &Migrate) -> anyhow::Result<ExitCode> {
    let storage = &settings.storage;
    let _lock = match storage.database_url()? {
        Some(_) => None,
        None => Some(data_dir::lock(&storage.data_dir)?),
    };
    lost_log::refuse_to_replace(settings, None).await?;
    let mut schemas = Vec::new();
    for schema in SCHEMAS {
        // KurrentDB has no schema to migrate.
        if !event_store::is_kurrentdb(&platform::database_url(storage, schema)?) {
            schemas.push(schema);
        }
    }
    let mut late = Vec::new();
    for schema in &schemas {
        let found = platform::find(storage, *schema).await;
        if found.map_err(as_owner)?.is_none() {
            late.push(schema.name());
        }
    }
    let act = async |_| {
        let mut done = BTreeSet::new();
        for schema in schemas {
            let database = platform::database(storage, schema).await?;
            done.insert(format!("{:<12} {}\n", schema.name(), database.url()));
        }
        output::print(&format!("Up to date:\n{}", done.into_iter().collect::<String>()));
        Ok(Conclusion::succeeded().with_result(late.join(", ")))
    };
    if late.is_empty() {
        return Ok(act(Default::default()).await?.exit_code());
    }
    // The log itself is migrated first, since the operation is recorded in it.
    let log = platform::event_store_to_import_into(storage).await?;
    command.attribution.record_if_there_is_a_log(settings, &*log, "migrate", act).await
}

/// Adds the way out to an error of a user who may not look into a schema.
fn as_owner(error: anyhow::Error) -> anyhow::Error {
    let reason = error.downcast_ref::<DatabaseError>();
    match reason.is_some_and(DatabaseError::is_forbidden) {
        true => error.context(
            "this user may not migrate the database: run `taskledger migrate` as its owner, and after it deploy/postgres/rights.sql if each role has a user of its own",
        ),
        false => error,
    }
}

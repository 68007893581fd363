//! The migrations of this build, which `build.rs` found under `migrations/`.

use std::pin::Pin;

use sqlx::{
    error::BoxDynError,
    migrate::{Migration, MigrationSource, MigrationType, Migrator},
};

use crate::{DatabaseError, Schema};

/// The name and the SQL text of every file of a folder.
type Files = &'static [(&'static str, &'static str)];

// The constants `EVENT_STORE` and so on: the files for PostgreSQL, and those for SQLite.
include!(concat!(env!("OUT_DIR"), "/migrations.rs"));

/// The migrations of `schema` in this build.
pub(crate) async fn embedded_migrations(schema: Schema, postgres: bool) -> Result<Migrator, DatabaseError> {
    let (of_postgres, of_sqlite) = match schema {
        Schema::EventStore => EVENT_STORE,
        Schema::SubjectKeys => SUBJECT_KEYS,
        Schema::Operations => OPERATIONS,
        Schema::AuditTree => AUDIT_TREE,
        Schema::ReadModels | Schema::ReadModelsShadow | Schema::ReadModelsPrevious => READ_MODELS,
    };
    let files = if postgres { of_postgres } else { of_sqlite };
    Ok(Migrator::new(Embedded(files)).await.map_err(sqlx::Error::from)?)
}

/// Files whose names are `<version>_<description>`, as sqlx's own reader of folders takes them.
#[derive(Debug)]
struct Embedded(Files);

impl MigrationSource<'static> for Embedded {
    fn resolve(self) -> Pin<Box<dyn Future<Output = Result<Vec<Migration>, BoxDynError>> + Send>> {
        let migrations = self.0.iter().map(|(name, sql)| {
            let (version, description) = name.split_once('_').unwrap_or((name, ""));
            Ok(Migration::new(
                version.parse()?,
                description.replace('_', " ").into(),
                MigrationType::Simple,
                (*sql).into(),
                false,
            ))
        });
        let migrations = migrations.collect();
        Box::pin(async { migrations })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[tokio::test]
    async fn every_migration_is_embedded_as_sqlx_reads_it_from_its_folder()
    -> Result<(), Box<dyn std::error::Error>> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations");
        for (schema, folder) in [
            (Schema::EventStore, "event-store"),
            (Schema::SubjectKeys, "subject-keys"),
            (Schema::Operations, "operations"),
            (Schema::AuditTree, "audit-tree"),
            (Schema::ReadModels, "read-models"),
        ] {
            for (postgres, dialect) in [(true, "postgres"), (false, "sqlite")] {
                let read = Migrator::new(root.join(folder).join(dialect)).await?;
                let embedded = embedded_migrations(schema, postgres).await?;
                let summary = |migrator: &Migrator| -> Vec<_> {
                    let all = migrator.iter();
                    all.map(|one| (one.version, one.description.clone(), one.checksum.clone())).collect()
                };
                assert_eq!(summary(&embedded), summary(&read), "{folder}/{dialect}");
                assert!(!summary(&read).is_empty());
            }
        }
        Ok(())
    }
}

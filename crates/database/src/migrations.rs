//! Applies the missing migrations of a schema, or refuses a schema that is newer than this build.

use std::{io, time::Duration};

use sqlx::{
    Connection as _, Executor as _, PgConnection,
    migrate::{MigrateError, Migrator},
};
use tokio::time::timeout;

use crate::{
    Database, DatabaseError, PostgresServer, Schema, StatementTimeout,
    embedded_migrations::embedded_migrations, error::is_forbidden,
};

/// The time limit for all migrations of a schema together, and for waiting for another process that migrates.
const LIMIT: Duration = StatementTimeout::Maintenance.limit();

impl Database {
    /// Connects to `url` (`postgres://…` or `sqlite:path`) with at most `connections` at once, and applies
    /// the migrations of `schema` that are missing.
    ///
    /// # Errors
    /// When the URL is malformed, the server unreachable, the file not writable, or the schema newer than this build.
    /// Waits while the server accepts no more connections.
    pub async fn open(url: &str, schema: Schema, connections: u32) -> Result<Self, DatabaseError> {
        let database = Self::connect(url, schema, connections).await?;
        database.migrate().await?;
        Ok(database)
    }

    /// Applies the migrations that are missing.
    ///
    /// # Errors
    /// When one fails, or the schema is newer than this build.
    pub async fn migrate(&self) -> Result<(), DatabaseError> {
        let migrator = embedded_migrations(self.schema(), self.is_postgres()).await?;
        match self.postgres() {
            Some(server) => {
                // Checked first, so that roles need no permission to create tables when the schema is up to date.
                match is_up_to_date(self, &migrator).await {
                    Ok(true) => Ok(()),
                    Ok(false) => migrate_postgres(server, self, &migrator).await,
                    Err(DatabaseError::Sql(source)) if is_forbidden(&source) => {
                        Err(DatabaseError::MayNotMigrate {
                            schema: self.schema().name(),
                            url: self.url().to_owned(),
                            source,
                        })
                    }
                    Err(error) => Err(error),
                }
            }
            // Whoever migrates wants to write.
            None if self.is_read_only() => Err(DatabaseError::Connect {
                url: self.url().to_owned(),
                source: sqlx::Error::Io(io::ErrorKind::ReadOnlyFilesystem.into()),
            }),
            None => migrate_sqlite(self, &migrator).await,
        }
    }

    /// Whether the schema has ever been migrated.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn is_migrated(&self) -> Result<bool, DatabaseError> {
        Ok(!applied(self).await?.is_empty())
    }
}

async fn is_up_to_date(database: &Database, migrator: &Migrator) -> Result<bool, DatabaseError> {
    let applied = applied(database).await?;
    let known = newest(migrator);
    if let Some(found) = applied.iter().map(|(version, _)| *version).max()
        && found > known
    {
        return Err(DatabaseError::Newer {
            schema: database.schema().name(),
            url: database.url().to_owned(),
            found,
            known,
        });
    }
    Ok(migrator.iter().all(|migration| applied.contains(&(migration.version, migration.checksum.to_vec()))))
}

/// Versions and checksums of the applied migrations; empty if there are none.
async fn applied(database: &Database) -> Result<Vec<(i64, Vec<u8>)>, DatabaseError> {
    // Connections search several schemas for tables, and each schema has this one.
    let sql = if database.is_postgres() {
        let schema = database.schema().name();
        format!("SELECT version, checksum FROM {schema}._sqlx_migrations WHERE success")
    } else {
        "SELECT version, checksum FROM _sqlx_migrations WHERE success".to_owned()
    };
    match database.fetch_all(&sql, &[]).await {
        Ok(rows) => rows
            .iter()
            .map(|row| Ok((row.integer("version")?, row.bytes("checksum")?)))
            .collect(),
        Err(DatabaseError::Sql(sqlx::Error::Database(error)))
            // PostgreSQL: undefined table or schema. SQLite: an error in the statement.
            if matches!(error.code().as_deref(), Some("42P01" | "3F000" | "1")) =>
        {
            Ok(Vec::new())
        }
        Err(error) => Err(error),
    }
}

async fn migrate_postgres(
    server: &PostgresServer,
    database: &Database,
    migrator: &Migrator,
) -> Result<(), DatabaseError> {
    let schema = database.schema().name();
    let mut connection = server.connect().await?;
    let migrating = async {
        create_schema(&mut connection, schema).await?;
        migrator.run_direct(&mut connection).await
    };
    let result = timeout(LIMIT, migrating).await;
    // The locks are released when the connection ends, however it closes.
    if let Ok(Err(error)) = timeout(StatementTimeout::Request.limit(), connection.close()).await {
        tracing::debug!(%error, "the connection that migrated did not close in order");
    }
    result
        .map_err(|_| DatabaseError::Late { limit: LIMIT })?
        .map_err(|source| failed(database, migrator, source))
}

/// Creates the schema in one process at a time: `IF NOT EXISTS` alone fails when two processes run it at the same
/// moment. Waiting for another process's migrations has a longer time limit than waiting for other locks. The session
/// holds the lock, so the server ends an idle session; otherwise a stopped process would block every start.
async fn create_schema(connection: &mut PgConnection, schema: &str) -> Result<(), sqlx::Error> {
    let alone = format!(
        "SET statement_timeout = {}; SET idle_session_timeout = '10s'; SET lock_timeout = 0; SET search_path = {schema}; \
         SELECT pg_advisory_lock(hashtext('taskledger.schema')); \
         SET lock_timeout = '10s'; CREATE SCHEMA IF NOT EXISTS {schema}",
        LIMIT.as_millis()
    );
    connection.execute(sqlx::raw_sql(&alone)).await.map(drop)
}

async fn migrate_sqlite(database: &Database, migrator: &Migrator) -> Result<(), DatabaseError> {
    let mut loan = database.writer().await?;
    let Some(connection) = loan.sqlite() else {
        return Ok(());
    };
    timeout(LIMIT, migrator.run_direct(connection))
        .await
        .map_err(|_| DatabaseError::Late { limit: LIMIT })?
        .map_err(|source| failed(database, migrator, source))?;
    loan.give_back();
    Ok(())
}

fn newest(migrator: &Migrator) -> i64 {
    let versions = migrator.iter().map(|migration| migration.version);
    versions.max().unwrap_or_default()
}

fn failed(database: &Database, migrator: &Migrator, source: MigrateError) -> DatabaseError {
    let schema = database.schema().name();
    let url = database.url().to_owned();
    let known = newest(migrator);
    match source {
        MigrateError::VersionMissing(found) if found > known => {
            DatabaseError::Newer { schema, url, found, known }
        }
        MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _)
            if is_forbidden(&source) =>
        {
            DatabaseError::MayNotMigrate { schema, url, source }
        }
        source => DatabaseError::Migrate { schema, url, source: Box::new(source) },
    }
}

//! Brings a schema up to date, or says that it is from the future.

use std::time::Duration;

use sqlx::{
    Connection as _, Executor as _, PgConnection,
    migrate::{MigrateError, Migrator},
};
use tokio::time::timeout;

use crate::{
    Database, DatabaseError, PostgresServer, Schema, StatementTimeout,
    embedded_migrations::embedded_migrations,
};

/// All migrations of a schema together, and whoever waits for another process's.
const LIMIT: Duration = StatementTimeout::Maintenance.limit();

impl Database {
    /// Connects to `url` (`postgres://…` or `sqlite:path`) with at most `connections` at once, and applies
    /// the migrations of `schema` that are missing.
    ///
    /// # Errors
    /// When the URL is malformed, the server unreachable, the file not writable, or the schema newer than
    /// this build. A server that takes no more connections is waited for.
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
                // Asked first, so that roles need no right to create anything on a database that is up to date.
                if is_up_to_date(self, &migrator).await? {
                    return Ok(());
                }
                migrate_postgres(server, self, &migrator).await
            }
            None => migrate_sqlite(self, &migrator).await,
        }
    }

    /// Whether the schema has ever been migrated.
    ///
    /// # Errors
    /// When the database does not say.
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
    Ok(migrator
        .iter()
        .all(|migration| applied.contains(&(migration.version, migration.checksum.to_vec()))))
}

/// Versions and checksums of the migrations that have been applied, none if there have never been any.
async fn applied(database: &Database) -> Result<Vec<(i64, Vec<u8>)>, DatabaseError> {
    // The connections look for tables in several schemas, and each has this one.
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
            // PostgreSQL's undefined table and schema; SQLite's error of a statement that makes no sense.
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
    // The locks end with the connection, however it closes.
    if let Ok(Err(error)) = timeout(StatementTimeout::Request.limit(), connection.close()).await {
        tracing::debug!(%error, "the connection that migrated did not close in order");
    }
    result
        .map_err(|_| DatabaseError::Late { limit: LIMIT })?
        .map_err(|source| failed(database, migrator, source))
}

/// One process at a time creates and migrates: `IF NOT EXISTS` alone still fails when two do it at the same moment. Only
/// the others' migrations are waited for longer than for any other lock. The lock is the session's, so the server ends one in which
/// nothing happens: otherwise a process that stands still would hold up everybody who starts.
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
        MigrateError::VersionMissing(found) if found > known => DatabaseError::Newer {
            schema,
            url,
            found,
            known,
        },
        source => DatabaseError::Migrate {
            schema,
            url,
            source: Box::new(source),
        },
    }
}

//! Brings a schema up to date, or says that it is from the future.

use sqlx::{
    PgPool,
    migrate::{MigrateError, Migrator},
};

use crate::{Database, DatabaseError, Pool, Schema};

static EVENT_STORE_POSTGRES: Migrator = sqlx::migrate!("../../migrations/event-store/postgres");
static EVENT_STORE_SQLITE: Migrator = sqlx::migrate!("../../migrations/event-store/sqlite");
static OPERATIONS_POSTGRES: Migrator = sqlx::migrate!("../../migrations/operations/postgres");
static OPERATIONS_SQLITE: Migrator = sqlx::migrate!("../../migrations/operations/sqlite");
static READ_MODELS_POSTGRES: Migrator = sqlx::migrate!("../../migrations/read-models/postgres");
static READ_MODELS_SQLITE: Migrator = sqlx::migrate!("../../migrations/read-models/sqlite");

pub(crate) async fn migrate(database: &Database) -> Result<(), DatabaseError> {
    let (postgres, sqlite) = match database.schema() {
        Schema::EventStore => (&EVENT_STORE_POSTGRES, &EVENT_STORE_SQLITE),
        Schema::Operations => (&OPERATIONS_POSTGRES, &OPERATIONS_SQLITE),
        Schema::ReadModels | Schema::ReadModelsShadow | Schema::ReadModelsPrevious => {
            (&READ_MODELS_POSTGRES, &READ_MODELS_SQLITE)
        }
    };
    let schema = database.schema().name();
    let (migrator, result) = match database.pool() {
        Pool::Postgres(pool) => {
            let pool = pool.of_the_driver();
            create_schema(&pool, schema).await?;
            let result = postgres.run(&pool).await;
            pool.close().await;
            (postgres, result)
        }
        Pool::Sqlite { writer, .. } => (sqlite, sqlite.run(writer).await),
    };
    result.map_err(|source| {
        let url = database.url().to_owned();
        let known = migrator
            .iter()
            .map(|migration| migration.version)
            .max()
            .unwrap_or_default();
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
    })
}

/// `IF NOT EXISTS` alone still fails when two processes create it at the same moment.
async fn create_schema(pool: &PgPool, schema: &str) -> Result<(), DatabaseError> {
    let mut tx = pool.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock(hashtext('taskledger.schema'))")
        .execute(&mut *tx)
        .await?;
    sqlx::query(&format!("CREATE SCHEMA IF NOT EXISTS {schema}"))
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(())
}

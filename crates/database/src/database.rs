//! Connecting, and running statements outside transactions.

use std::{path::Path, str::FromStr, sync::Arc, time::Duration};

use sqlx::{
    Postgres, Sqlite, SqlitePool,
    postgres::{PgArguments, PgConnectOptions},
    query::Query,
    sqlite::{
        SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
    },
};
use tokio::sync::broadcast;
use url::Url;

use crate::{
    DatabaseError, PostgresPool, Row, Signals, Transaction, Value, migrations,
    signal::Source,
    value::{bind_postgres, bind_sqlite},
};

/// What a database holds; each has its own migrations, and in PostgreSQL its own schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schema {
    /// The log. Precious.
    EventStore,
    /// What the roles themselves must remember: idempotency keys, the relay's progress. Precious.
    Operations,
    /// Everything that is projected from the log. Can be deleted at any time.
    ReadModels,
    /// Read models that are being rebuilt beside those in use.
    ReadModelsShadow,
    /// The read models that were in use before the last rebuild.
    ReadModelsPrevious,
}

impl Schema {
    /// The schema's name in PostgreSQL.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::EventStore => "event_store",
            Self::Operations => "operations",
            Self::ReadModels => "read_models",
            Self::ReadModelsShadow => "read_models_shadow",
            Self::ReadModelsPrevious => "read_models_previous",
        }
    }
}

/// A pool of connections to one schema. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Database(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    pool: Pool,
    schema: Schema,
    url: String,
    signals: broadcast::Sender<(&'static str, String)>,
}

/// The connections, for statements that exist only in one of the two.
#[derive(Debug)]
pub enum Pool {
    /// To PostgreSQL.
    Postgres(PostgresPool),
    /// To SQLite, which allows one writer at a time.
    Sqlite {
        /// A pool of one, so that writers queue instead of failing.
        writer: SqlitePool,
        /// They wait for nobody.
        readers: SqlitePool,
    },
}

/// How PostgreSQL is to plan. Every ordered statement here has an index in that order, and reading along it is right
/// whatever the numbers, so a plan is made once for each statement: planning takes longer than most statements.
/// Left to its statistics, PostgreSQL would sort all tasks of somebody who has far more than the average person.
const PLANNING: [(&str, &str); 3] = [
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_sort", "off"),
    ("jit", "off"),
];

/// The server notices within 25 seconds when the machine at the other end is gone without a farewell, and gives up
/// what its transactions had locked: others wait for a checkpoint, or to be the relay.
const KEEP_ALIVE: [(&str, &str); 3] = [
    ("tcp_keepalives_idle", "10"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "3"),
];

impl Database {
    /// Connects to `url` (`postgres://…` or `sqlite:path`) with at most `connections` at once, and applies
    /// the migrations of `schema` that are missing.
    ///
    /// # Errors
    /// When the URL is malformed, the server unreachable, the file not writable, or the schema newer than
    /// this build.
    pub async fn open(url: &str, schema: Schema, connections: u32) -> Result<Self, DatabaseError> {
        let database = Self::connect(url, schema, connections).await?;
        migrations::migrate(&database).await?;
        Ok(database)
    }

    /// As [`Self::open`], without touching the schema.
    ///
    /// # Errors
    /// When the URL is malformed, the server unreachable, or the file not writable.
    pub async fn connect(url: &str, schema: Schema, connections: u32) -> Result<Self, DatabaseError> {
        let masked = masked(url);
        let connect_error = |source| DatabaseError::Connect {
            url: masked.clone(),
            source,
        };
        let pool = match url.split_once(':').map(|(scheme, _)| scheme) {
            Some("postgres" | "postgresql") => {
                let options = PgConnectOptions::from_str(url)
                    .map_err(|error| DatabaseError::Url {
                        url: masked.clone(),
                        reason: error.to_string(),
                    })?
                    .application_name("taskledger")
                    .options([("search_path", schema.name())])
                    .options(PLANNING)
                    .options(KEEP_ALIVE);
                let pool = PostgresPool::new(options, connections).map_err(connect_error)?;
                // Whoever starts is told at once when there is no server.
                drop(pool.loan().await.map_err(connect_error)?);
                Pool::Postgres(pool)
            }
            Some("sqlite") => {
                let options = SqliteConnectOptions::from_str(url)
                    .map_err(|error| DatabaseError::Url {
                        url: masked.clone(),
                        reason: error.to_string(),
                    })?
                    .create_if_missing(true)
                    .journal_mode(SqliteJournalMode::Wal)
                    .synchronous(match schema {
                        // A lost tail is read again from the log.
                        Schema::ReadModels | Schema::ReadModelsShadow | Schema::ReadModelsPrevious => {
                            SqliteSynchronous::Normal
                        }
                        Schema::EventStore | Schema::Operations => SqliteSynchronous::Full,
                    })
                    .busy_timeout(Duration::from_secs(10))
                    .foreign_keys(true)
                    // As in PostgreSQL.
                    .pragma("case_sensitive_like", "ON");
                let pool = |connections| {
                    SqlitePoolOptions::new()
                        .max_connections(connections)
                        .acquire_timeout(Duration::from_secs(30))
                        .connect_with(options.clone())
                };
                Pool::Sqlite {
                    writer: pool(1).await.map_err(connect_error)?,
                    readers: pool(connections).await.map_err(connect_error)?,
                }
            }
            _ => {
                let reason = "expected postgres://user:password@host/database or sqlite:path".to_owned();
                return Err(DatabaseError::Url { url: masked, reason });
            }
        };
        let (signals, _) = broadcast::channel(1_024);
        Ok(Self(Arc::new(Inner {
            pool,
            schema,
            url: masked,
            signals,
        })))
    }

    /// The URL of a SQLite file.
    #[must_use]
    pub fn file_url(path: &Path) -> String {
        format!("sqlite:{}", path.display())
    }

    /// What it holds.
    #[must_use]
    pub fn schema(&self) -> Schema {
        self.0.schema
    }

    /// Where it is, with the password masked.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.0.url
    }

    /// The connections.
    #[must_use]
    pub fn pool(&self) -> &Pool {
        &self.0.pool
    }

    /// The pool, when it is PostgreSQL's.
    #[must_use]
    pub fn postgres(&self) -> Option<&PostgresPool> {
        match &self.0.pool {
            Pool::Postgres(pool) => Some(pool),
            Pool::Sqlite { .. } => None,
        }
    }

    /// The writer's pool of one connection, when it is SQLite's.
    #[must_use]
    pub fn sqlite_writer(&self) -> Option<&SqlitePool> {
        match &self.0.pool {
            Pool::Postgres(_) => None,
            Pool::Sqlite { writer, .. } => Some(writer),
        }
    }

    /// Begins a transaction that may write.
    ///
    /// # Errors
    /// When no connection is to be had.
    pub async fn begin(&self) -> Result<Transaction, DatabaseError> {
        Transaction::begin(self).await
    }

    /// Begins a transaction that only reads and sees one state throughout. Holds nobody up.
    ///
    /// # Errors
    /// When no connection is to be had.
    pub async fn snapshot(&self) -> Result<Transaction, DatabaseError> {
        Transaction::snapshot(self).await
    }

    /// Runs a statement that writes and returns the number of rows it changed.
    ///
    /// # Errors
    /// When the statement fails; likewise for the others.
    pub async fn execute(&self, sql: &str, values: &[Value]) -> Result<u64, DatabaseError> {
        match &self.0.pool {
            Pool::Postgres(pool) => Ok(pool.execute(sql, values).await?),
            Pool::Sqlite { writer, .. } => Ok(run_sqlite(sql, values).execute(writer).await?.rows_affected()),
        }
    }

    /// Runs a query that only reads and returns its rows. It may be asked twice, when a connection is lost.
    pub async fn fetch_all(&self, sql: &str, values: &[Value]) -> Result<Vec<Row>, DatabaseError> {
        match &self.0.pool {
            Pool::Postgres(pool) => Ok(pool.fetch_all(sql, values).await?),
            Pool::Sqlite { readers, .. } => Ok(run_sqlite(sql, values)
                .fetch_all(readers)
                .await?
                .into_iter()
                .map(Row::Sqlite)
                .collect()),
        }
    }

    /// Runs a query that only reads and returns its first row, if any.
    pub async fn fetch_optional(&self, sql: &str, values: &[Value]) -> Result<Option<Row>, DatabaseError> {
        Ok(self.fetch_all(sql, values).await?.into_iter().next())
    }

    /// Whether the database answers. For readiness.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), DatabaseError> {
        self.fetch_all("SELECT 1 AS one", &[]).await.map(drop)
    }

    /// The signals sent on `channel` from now on by [`Transaction::signal`]. In PostgreSQL they take a connection of
    /// their own, beside the pool's.
    #[must_use]
    pub fn signals(&self, channel: &'static str) -> Signals {
        Signals(match &self.0.pool {
            Pool::Postgres(pool) => Source::Postgres {
                pool: pool.of_the_driver(),
                channel,
                listener: None,
            },
            Pool::Sqlite { .. } => Source::Local {
                channel,
                receiver: self.0.signals.subscribe(),
            },
        })
    }

    /// Closes all connections; in PostgreSQL those in use when they come back.
    pub async fn close(&self) {
        match &self.0.pool {
            Pool::Postgres(pool) => pool.close().await,
            Pool::Sqlite { writer, readers } => {
                readers.close().await;
                writer.close().await;
            }
        }
    }

    pub(crate) fn send_local(&self, channel: &'static str, payload: String) {
        // Nobody waiting is no error.
        let _ = self.0.signals.send((channel, payload));
    }
}

/// Statements are written in this project's source; whatever a client sends arrives as a [`Value`].
pub(crate) fn run_postgres<'q>(sql: &'q str, values: &[Value]) -> Query<'q, Postgres, PgArguments> {
    values.iter().fold(sqlx::query(sql), bind_postgres)
}

pub(crate) fn run_sqlite<'q>(sql: &'q str, values: &[Value]) -> Query<'q, Sqlite, SqliteArguments<'q>> {
    values.iter().fold(sqlx::query(sql), bind_sqlite)
}

/// A URL with its password replaced by `***`, for messages; all of it when it cannot be read as a URL.
#[must_use]
pub fn masked(url: &str) -> String {
    match Url::parse(url) {
        Ok(mut parsed) if parsed.password().is_some() => match parsed.set_password(Some("***")) {
            Ok(()) => parsed.to_string(),
            Err(()) => "***".to_owned(),
        },
        Ok(_) => url.to_owned(),
        Err(_) => "***".to_owned(),
    }
}

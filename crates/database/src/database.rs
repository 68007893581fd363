//! Connecting, and running statements outside transactions.

use std::{
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use sqlx::{
    postgres::PgConnectOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use crate::{
    DatabaseError, Loan, Patience, PostgresServer, Row, Schema, Signals, Transaction, Value,
    error::is_lost,
    masked, migrations,
    pool::{Connections, Options},
    private,
    signal::Hub,
};

/// One schema of a server, or a file. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Database {
    server: Arc<Server>,
    schema: Schema,
    patience: Patience,
}

/// What the schemas of one server share, or a file.
#[derive(Debug)]
struct Server {
    /// The URL with what is secret masked.
    url: String,
    reads: Connections,
    /// The same in PostgreSQL. SQLite allows one writer at a time, so that there is one connection for which writers queue
    /// instead of failing.
    writes: Connections,
    postgres: Option<PostgresServer>,
    /// SQLite's.
    file: Option<PathBuf>,
    signals: Arc<Hub>,
}

/// How PostgreSQL is to plan. Every statement here has an index for its conditions and its order, and reading along it is
/// right whatever the numbers, so a plan is made once for each statement: planning takes longer than most statements.
/// Left to its statistics, PostgreSQL would sort all tasks of somebody who has far more than the average person, and
/// would read whole tables for ever because they were empty when the plan was made.
const PLANNING: [(&str, &str); 4] = [
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_sort", "off"),
    ("enable_seqscan", "off"),
    ("jit", "off"),
];

/// The server notices within 25 seconds when the machine at the other end is gone without a farewell, and gives up
/// what its transactions had locked: others wait for a checkpoint, or to be the relay.
const KEEP_ALIVE: [(&str, &str); 4] = [
    ("tcp_keepalives_idle", "10"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "25000"),
];

/// A client that stands still, whose kernel goes on answering for it, holds what it has locked no longer than this.
/// [`Patience`] sets another `statement_timeout` for what takes longer.
const DEADLINES: [(&str, &str); 3] = [
    ("statement_timeout", "15s"),
    ("lock_timeout", "10s"),
    ("idle_in_transaction_session_timeout", "15s"),
];

/// What the statements rely on, whatever the server's defaults.
const SYNTAX: [(&str, &str); 1] = [("standard_conforming_strings", "on")];

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

    /// As [`Self::open`], without touching the schema.
    ///
    /// # Errors
    /// When the URL is malformed, the server unreachable, or the file not writable.
    pub async fn connect(url: &str, schema: Schema, connections: u32) -> Result<Self, DatabaseError> {
        let refused = |reason: String| DatabaseError::Url {
            url: masked(url),
            reason,
        };
        let mut file = None;
        let (reads, writes) = match url.split_once(':').map(|(scheme, _)| scheme) {
            Some("postgres" | "postgresql") => {
                if let Some(name) = unknown_parameter(url) {
                    return Err(refused(format!("there is no parameter `{name}`")));
                }
                let options = PgConnectOptions::from_str(url).map_err(|error| refused(error.to_string()))?;
                let options = Options::Postgres(Box::new(for_all(options, schema)));
                let pool = Connections::new(options, connections)?;
                (pool.clone(), pool)
            }
            Some("sqlite") => {
                let options =
                    SqliteConnectOptions::from_str(url).map_err(|error| refused(error.to_string()))?;
                file = Some(options.get_filename().to_owned());
                private::database_file(options.get_filename()).map_err(|error| DatabaseError::Connect {
                    url: masked(url),
                    source: sqlx::Error::Io(error),
                })?;
                let options = Options::Sqlite(Box::new(for_file(options, schema)));
                (
                    Connections::new(options.clone(), connections)?,
                    Connections::new(options, 1)?,
                )
            }
            _ => {
                return Err(refused(
                    "expected postgres://user:password@host/database or sqlite:path".to_owned(),
                ));
            }
        };
        // Whoever starts is told at once when there is no server.
        match writes.first_loan().await {
            Ok(loan) => drop(loan),
            Err(DatabaseError::Sql(source)) => {
                return Err(DatabaseError::Connect {
                    url: masked(url),
                    source,
                });
            }
            Err(error) => return Err(error),
        }
        let postgres = reads.server();
        Ok(Self {
            server: Arc::new(Server {
                url: masked(url),
                reads,
                writes,
                signals: Arc::new(Hub::new(postgres.clone())),
                postgres,
                file,
            }),
            schema,
            patience: Patience::Request,
        })
    }

    /// The URL of a SQLite file.
    #[must_use]
    pub fn file_url(path: &Path) -> String {
        format!("sqlite:{}", path.display())
    }

    /// Another schema of the same server, over the same connections; `None` for a file, which has one, and for tables
    /// that have the names of others.
    #[must_use]
    pub fn with_schema(&self, schema: Schema) -> Option<Self> {
        (self.is_postgres() && self.schema.is_shared() && schema.is_shared()).then(|| Self {
            schema,
            ..self.clone()
        })
    }

    /// The same for statements that may take longer, or not as long.
    #[must_use]
    pub fn with_patience(&self, patience: Patience) -> Self {
        Self {
            patience,
            ..self.clone()
        }
    }

    /// Applies the migrations that are missing.
    ///
    /// # Errors
    /// When one fails, or the schema is newer than this build.
    pub async fn migrate(&self) -> Result<(), DatabaseError> {
        migrations::migrate(self).await
    }

    /// Whether the schema has ever been migrated.
    ///
    /// # Errors
    /// When the database does not say.
    pub async fn is_migrated(&self) -> Result<bool, DatabaseError> {
        migrations::is_migrated(self).await
    }

    /// What it holds.
    #[must_use]
    pub fn schema(&self) -> Schema {
        self.schema
    }

    /// Where it is, with what is secret masked.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.server.url
    }

    /// Whether it is PostgreSQL, and not SQLite.
    #[must_use]
    pub fn is_postgres(&self) -> bool {
        self.server.postgres.is_some()
    }

    /// The server, for connections outside the pool, when it is PostgreSQL.
    #[must_use]
    pub fn postgres(&self) -> Option<&PostgresServer> {
        self.server.postgres.as_ref()
    }

    /// The connection that writes, for what only SQLite can do. It is thrown away unless it is given back.
    ///
    /// # Errors
    /// When it is not to be had.
    pub async fn writer(&self) -> Result<Loan, DatabaseError> {
        Ok(self
            .writes()
            .loan(self.patience)
            .await?
            .throw_away_unless_given_back())
    }

    /// The file, when it is SQLite's.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.server.file.as_deref()
    }

    pub(crate) fn reads(&self) -> &Connections {
        &self.server.reads
    }

    pub(crate) fn writes(&self) -> &Connections {
        &self.server.writes
    }

    pub(crate) fn patience(&self) -> Patience {
        self.patience
    }

    /// Begins a transaction that may write.
    ///
    /// # Errors
    /// When no connection is to be had.
    pub async fn begin(&self) -> Result<Transaction, DatabaseError> {
        Transaction::begin(self).await
    }

    /// As [`Self::begin`]; a statement in it that waits longer than `lock_timeout` for another's lock fails with an error
    /// that [`DatabaseError::is_locked`]. On SQLite the whole database is locked when it begins.
    ///
    /// # Errors
    /// When no connection is to be had.
    pub async fn begin_with_lock_timeout(
        &self,
        lock_timeout: Duration,
    ) -> Result<Transaction, DatabaseError> {
        Transaction::begin_with_lock_timeout(self, lock_timeout).await
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
        self.writes()
            .loan(self.patience)
            .await?
            .execute(sql, values)
            .await
    }

    /// Runs a query that only reads and returns its rows. It may be asked twice, when a connection is lost.
    pub async fn fetch_all(&self, sql: &str, values: &[Value]) -> Result<Vec<Row>, DatabaseError> {
        match self.fetch_once(sql, values).await {
            Err(DatabaseError::Sql(error)) if is_lost(&error) => self.fetch_once(sql, values).await,
            result => result,
        }
    }

    async fn fetch_once(&self, sql: &str, values: &[Value]) -> Result<Vec<Row>, DatabaseError> {
        self.reads()
            .loan(self.patience)
            .await?
            .fetch_all(sql, values)
            .await
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

    /// The signals sent on `channel` from now on by [`Self::signal`], here and by other processes. In PostgreSQL all
    /// signals of a server take one connection, beside the pool's.
    #[must_use]
    pub fn signals(&self, channel: &'static str) -> Signals {
        self.server.signals.subscribe(channel)
    }

    /// Sends `payload` on `channel` to everyone who waits, best effort and without waiting for it. Of several with the
    /// same `key` the last one is enough.
    pub fn signal(&self, channel: &'static str, key: impl Into<String>, payload: impl Into<String>) {
        self.server.signals.send(channel, key.into(), payload.into());
    }

    /// Closes all connections, those in use when they come back, for which it waits up to 5 seconds. A SQLite file is
    /// whole by itself afterwards, unless another process uses it, too.
    pub async fn close(&self) {
        self.server.signals.close().await;
        if self.is_postgres() {
            self.writes().close().await;
            return;
        }
        self.reads().close().await;
        // The last connection that is closed does this, too, but it need not be ours.
        match self.execute("PRAGMA wal_checkpoint(TRUNCATE)", &[]).await {
            Ok(_) | Err(DatabaseError::Sql(sqlx::Error::PoolClosed)) => {}
            Err(error) => {
                tracing::warn!(%error, url = self.url(), "the database file is not whole without its -wal")
            }
        }
        self.writes().close().await;
    }
}

/// The settings of every connection to PostgreSQL.
fn for_all(options: PgConnectOptions, schema: Schema) -> PgConnectOptions {
    options
        .application_name("taskledger")
        .options([("search_path", schema.search_path())])
        .options(PLANNING)
        .options(KEEP_ALIVE)
        .options(DEADLINES)
        .options(SYNTAX)
}

/// The settings of every connection to a SQLite file.
fn for_file(options: SqliteConnectOptions, schema: Schema) -> SqliteConnectOptions {
    options
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
        .pragma("case_sensitive_like", "ON")
}

/// A parameter of a PostgreSQL URL that the driver does not know. It would ignore it, and log it with its value, which may
/// be a secret.
fn unknown_parameter(url: &str) -> Option<String> {
    const KNOWN: [&str; 18] = [
        "application_name",
        "dbname",
        "host",
        "hostaddr",
        "options",
        "password",
        "port",
        "ssl-ca",
        "ssl-cert",
        "ssl-key",
        "ssl-mode",
        "ssl-root-cert",
        "sslcert",
        "sslkey",
        "sslmode",
        "sslrootcert",
        "statement-cache-capacity",
        "user",
    ];
    let url = url::Url::parse(url).ok()?;
    let is_known = |name: &str| KNOWN.contains(&name) || name.starts_with("options[");
    url.query_pairs()
        .map(|(name, _)| name.into_owned())
        .find(|name| !is_known(name))
}

#[cfg(test)]
mod tests {
    use super::unknown_parameter;

    #[test]
    fn parameters_that_the_driver_would_log_are_refused() {
        for (query, unknown) in [
            ("", None),
            ("?sslmode=require&options[search_path]=a", None),
            ("?user=a&password=b", None),
            ("?sslpassword=a", Some("sslpassword")),
            ("?user=a&PASSWORD=b", Some("PASSWORD")),
        ] {
            let url = format!("postgres://u@h/db{query}");
            assert_eq!(unknown_parameter(&url).as_deref(), unknown, "{query}");
        }
    }
}

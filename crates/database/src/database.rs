//! Connecting, and running statements outside transactions.

use std::{
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};

use sqlx::{postgres::PgConnectOptions, sqlite::SqliteConnectOptions};

use crate::{
    DatabaseError, PooledConnection, PostgresServer, Row, Schema, Signals, StatementTimeout, Value,
    error::is_lost,
    manager::Options,
    masked,
    pool::Connections,
    private,
    settings::{WAIT, WAIT_A_MOMENT, for_all, for_file, unknown_parameter},
    signal::Hub,
};

/// One schema of a server, or a file. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Database {
    server: Arc<Server>,
    schema: Schema,
    statement_timeout: StatementTimeout,
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
    /// The file, if it is in SQLite.
    file: Option<PathBuf>,
    signals: Arc<Hub>,
}

impl Database {
    /// Connects to `url` (`postgres://…` or `sqlite:path`) with at most `connections` at once, without touching the schema.
    ///
    /// # Errors
    /// When the URL is malformed, the server unreachable, or the file not writable. A server that takes no more connections
    /// is waited for.
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
                let pool = Connections::new("postgres".to_owned(), options, connections)?;
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
                let name = options
                    .get_filename()
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy();
                let name = |purpose: &str| format!("{name}, {purpose}");
                let (readers, writer) = (name("readers"), name("writer"));
                let options = Options::Sqlite(Box::new(for_file(options, schema)));
                (
                    Connections::new(readers, options.clone(), connections)?,
                    Connections::new(writer, options, 1)?,
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
            statement_timeout: StatementTimeout::Request,
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
    pub fn with_statement_timeout(&self, statement_timeout: StatementTimeout) -> Self {
        Self {
            statement_timeout,
            ..self.clone()
        }
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
    pub async fn writer(&self) -> Result<PooledConnection, DatabaseError> {
        Ok(self
            .writes()
            .loan(self.statement_timeout)
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

    pub(crate) fn statement_timeout(&self) -> StatementTimeout {
        self.statement_timeout
    }

    /// Runs a statement that writes and returns the number of rows it changed.
    ///
    /// # Errors
    /// When the statement fails; likewise for the others.
    pub async fn execute(&self, sql: &str, values: &[Value]) -> Result<u64, DatabaseError> {
        self.writes()
            .loan(self.statement_timeout)
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
            .loan(self.statement_timeout)
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

    /// Leaves nothing of deleted rows in the file of SQLite: writes it again, which may take a while, and empties its -wal.
    /// Returns whether that is done; it is not while somebody reads in a transaction, for whom nobody who writes is held up.
    /// PostgreSQL looks after this by itself.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn forget_deleted(&self) -> Result<bool, DatabaseError> {
        if self.is_postgres() {
            return Ok(true);
        }
        let mut writer = self.writes().loan(StatementTimeout::Maintenance).await?;
        // Before the file is written again, since all of it goes through the -wal, and stays there as long as the reader.
        if !empty_wal(&mut writer).await? {
            return Ok(false);
        }
        writer.execute("VACUUM", &[]).await?;
        empty_wal(&mut writer).await
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

/// Empties the -wal of SQLite, unless somebody reads from it for longer than a moment. Returns whether it is empty. Whoever wants
/// to write waits meanwhile, here and in other processes.
async fn empty_wal(writer: &mut PooledConnection) -> Result<bool, DatabaseError> {
    writer.execute(WAIT_A_MOMENT, &[]).await?;
    let emptied = writer.fetch_all("PRAGMA wal_checkpoint(TRUNCATE)", &[]).await;
    writer.execute(WAIT, &[]).await?;
    Ok(emptied?.first().map_or(Ok(0), |row| row.integer("busy"))? == 0)
}

//! Connecting, and running statements outside transactions.

use std::{fmt::Display, path::Path, str::FromStr, sync::Arc, time::Duration};

use runtime::BlockingCalls;
use sqlx::{postgres::PgConnectOptions, sqlite::SqliteConnectOptions};
use tokio::time::timeout;

use crate::{
    DatabaseError, PooledConnection, PostgresServer, Row, Schema, Signals, StatementTimeout, Value,
    database_file::{DatabaseFile, is_in_use, is_read_only},
    error::is_lost,
    manager::{Options, Priority},
    masked,
    pool::Connections,
    settings::{for_all, for_file, for_read_only_file, unknown_parameter},
    signal::Hub,
    wal::{SHORT_WAIT, empty, keep_small},
};

/// How long closing waits for a statement that writes.
const FOR_WRITER: Duration = Duration::from_secs(2);
/// How long closing waits for other processes that read from the -wal.
const FOR_READERS: Duration = Duration::from_secs(1);

/// One schema of a server, or one file. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Database {
    server: Arc<Server>,
    schema: Schema,
    statement_timeout: StatementTimeout,
    has_low_priority: bool,
}

/// The parts that the schemas of one server share, or the parts of a file.
#[derive(Debug)]
struct Server {
    /// The URL with secrets masked.
    url: String,
    reads: Connections,
    /// Reads that give way to others. The same pool in PostgreSQL, and for a file that cannot be written.
    low_priority_reads: Connections,
    /// The same pool in PostgreSQL, and for a file that cannot be written. SQLite allows one writer at a time, so there
    /// is one connection for which writers queue.
    writes: Connections,
    postgres: Option<PostgresServer>,
    /// A SQLite file that can be written.
    file: Option<DatabaseFile>,
    /// Probes of the disk with the file. On a disk that hangs, one probe keeps a thread and the others wait for it.
    probes: BlockingCalls,
    signals: Arc<Hub>,
}

/// Where statements are run.
struct Pools {
    reads: Connections,
    low_priority_reads: Connections,
    writes: Connections,
    /// The file, if it is in SQLite and can be written.
    file: Option<DatabaseFile>,
}

impl Pools {
    fn on_server(options: PgConnectOptions, schema: Schema, connections: u32) -> Result<Self, DatabaseError> {
        let options = Options::Postgres(Box::new(for_all(options, schema)));
        let pool = Connections::new("postgres".to_owned(), options, connections)?;
        Ok(Self {
            reads: pool.clone(),
            low_priority_reads: pool.clone(),
            writes: pool,
            file: None,
        })
    }

    fn in_file(
        url: &str,
        options: SqliteConnectOptions,
        schema: Schema,
        connections: u32,
    ) -> Result<Self, DatabaseError> {
        let file = options.get_filename().to_owned();
        if is_read_only(&file) {
            return Self::in_read_only_file(url, &file, options, connections);
        }
        let file = DatabaseFile::open(file).map_err(|error| DatabaseError::Connect {
            url: masked(url),
            source: sqlx::Error::Io(error),
        })?;
        let name = file.path.file_name().unwrap_or_default().to_string_lossy();
        let name = |purpose: &str| format!("{name}, {purpose}");
        let options = Box::new(for_file(options, schema));
        let pool = |purpose, priority, connections| {
            let options = Options::Sqlite(options.clone(), priority);
            Connections::new(name(purpose), options, connections)
        };
        Ok(Self {
            reads: pool("readers", Priority::Normal, connections)?,
            low_priority_reads: pool("readers of low priority", Priority::Low, connections)?,
            writes: pool("writer", Priority::Normal, 1)?,
            file: Some(file),
        })
    }

    /// For commands that only look. Others are refused when they migrate the schema, or when they write.
    fn in_read_only_file(
        url: &str,
        file: &Path,
        options: SqliteConnectOptions,
        connections: u32,
    ) -> Result<Self, DatabaseError> {
        if is_in_use(file) {
            return Err(DatabaseError::InUseInReadOnlyDirectory { url: masked(url) });
        }
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let options = Options::Sqlite(Box::new(for_read_only_file(options)), Priority::Normal);
        let pool = Connections::new(format!("{name}, readers"), options, connections)?;
        Ok(Self {
            reads: pool.clone(),
            low_priority_reads: pool.clone(),
            writes: pool,
            file: None,
        })
    }
}

/// Reads a URL.
fn parse(url: &str) -> Result<Options, DatabaseError> {
    let malformed = |error: sqlx::Error| refused(url, error.to_string());
    match url.split_once(':').map(|(scheme, _)| scheme) {
        Some("postgres" | "postgresql") => match unknown_parameter(url) {
            Some(name) => Err(refused(url, format!("there is no parameter `{name}`"))),
            None => {
                let options = PgConnectOptions::from_str(url).map_err(malformed)?;
                Ok(Options::Postgres(Box::new(options)))
            }
        },
        Some("sqlite") => {
            let options = SqliteConnectOptions::from_str(url).map_err(malformed)?;
            Ok(Options::Sqlite(Box::new(options), Priority::Normal))
        }
        _ => {
            let expected = "expected postgres://user:password@host/database or sqlite:path";
            Err(refused(url, expected))
        }
    }
}

fn refused(url: &str, reason: impl Into<String>) -> DatabaseError {
    DatabaseError::Url {
        url: masked(url),
        reason: reason.into(),
    }
}

impl Database {
    /// Connects to `url` (`postgres://…` or `sqlite:path`) with at most `connections` at once, without touching the
    /// schema. A file that cannot be written, or in a directory where nothing can be, is opened for reading only, and
    /// must not change meanwhile.
    ///
    /// # Errors
    /// When the URL is malformed, the server unreachable, or the file not usable. Waits while the server accepts no
    /// more connections.
    pub async fn connect(url: &str, schema: Schema, connections: u32) -> Result<Self, DatabaseError> {
        let pools = match parse(url)? {
            Options::Postgres(options) => Pools::on_server(*options, schema, connections)?,
            Options::Sqlite(options, _) => Pools::in_file(url, *options, schema, connections)?,
        };
        let Pools {
            reads,
            low_priority_reads,
            writes,
            file,
        } = pools;
        // At the start, a server that cannot be reached is an error at once.
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
        if let Some(file) = &file {
            let keeping = keep_small(writes.weak(), file.path.clone());
            runtime::spawn("keeping of a -wal small", keeping);
        }
        let postgres = reads.server();
        Ok(Self {
            server: Arc::new(Server {
                url: masked(url),
                reads,
                low_priority_reads,
                writes,
                signals: Arc::new(Hub::new(postgres.clone())),
                postgres,
                file,
                probes: BlockingCalls::new(1, StatementTimeout::Request.limit()),
            }),
            schema,
            statement_timeout: StatementTimeout::Request,
            has_low_priority: false,
        })
    }

    /// Checks that [`Self::connect`] can read `url`, without connecting.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn check_url(url: &str) -> Result<(), DatabaseError> {
        parse(url).map(drop)
    }

    /// The URL of a SQLite file.
    pub fn file_url(path: &Path) -> String {
        format!("sqlite:{}", path.display())
    }

    /// The database of `schema` over the same connections. `None` for another schema of a SQLite file, and for
    /// another one whose tables have the names of others.
    #[must_use]
    pub fn with_schema(&self, schema: Schema) -> Option<Self> {
        let is_shared = self.is_postgres() && self.schema.is_shared() && schema.is_shared();
        (is_shared || schema == self.schema).then(|| Self {
            schema,
            ..self.clone()
        })
    }

    /// The same database with another time limit for statements.
    #[must_use]
    pub fn with_statement_timeout(&self, statement_timeout: StatementTimeout) -> Self {
        Self {
            statement_timeout,
            ..self.clone()
        }
    }

    /// The same database for queries that read much while others wait: on SQLite their threads give way to all others.
    /// A server schedules its own processes.
    #[must_use]
    pub fn with_low_priority(&self) -> Self {
        Self {
            has_low_priority: true,
            ..self.clone()
        }
    }

    /// The schema.
    pub fn schema(&self) -> Schema {
        self.schema
    }

    /// The URL with secrets masked.
    pub fn url(&self) -> &str {
        &self.server.url
    }

    /// Whether it is PostgreSQL, and not SQLite.
    pub fn is_postgres(&self) -> bool {
        self.server.postgres.is_some()
    }

    /// Whether it is a file that was opened for reading only. What others change in it meanwhile is not seen.
    pub fn is_read_only(&self) -> bool {
        !self.is_postgres() && self.file().is_none()
    }

    /// The server, for connections outside the pool; `None` for SQLite.
    pub fn postgres(&self) -> Option<&PostgresServer> {
        self.server.postgres.as_ref()
    }

    /// The writing connection, for operations of SQLite only. It is closed unless it is given back.
    ///
    /// # Errors
    /// When it is not available in time.
    pub async fn writer(&self) -> Result<PooledConnection, DatabaseError> {
        Ok(self
            .writes()
            .loan(self.statement_timeout)
            .await?
            .throw_away_unless_given_back())
    }

    /// A SQLite file that can be written.
    pub(crate) fn file(&self) -> Option<&DatabaseFile> {
        self.server.file.as_ref()
    }

    /// Checks that a SQLite file is still where it was opened: what is written into one that was deleted, or that
    /// another file has replaced, is lost when this process ends.
    ///
    /// # Errors
    /// When it is not there any more.
    pub fn is_in_place(&self) -> Result<(), DatabaseError> {
        let checked = self.file().map_or(Ok(()), DatabaseFile::is_in_place);
        Ok(checked.map_err(sqlx::Error::Io)?)
    }

    pub(crate) fn probes(&self) -> &BlockingCalls {
        &self.server.probes
    }

    pub(crate) fn reads(&self) -> &Connections {
        match self.has_low_priority {
            true => &self.server.low_priority_reads,
            false => &self.server.reads,
        }
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
    /// When the statement fails; the same for the other methods.
    pub async fn execute(&self, sql: &str, values: &[Value]) -> Result<u64, DatabaseError> {
        self.writes()
            .loan(self.statement_timeout)
            .await?
            .execute(sql, values)
            .await
    }

    /// Runs a query that only reads and returns its rows. It may be repeated when a connection is lost.
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

    /// Runs a query for one number, such as a count, and returns it; 0 without a row.
    pub async fn number(&self, sql: &str, values: &[Value]) -> Result<u64, DatabaseError> {
        let row = self.fetch_optional(sql, values).await?;
        row.map_or(Ok(0), |row| row.unsigned(0))
    }

    /// Whether the database answers. For readiness.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), DatabaseError> {
        self.fetch_all("SELECT 1 AS one", &[]).await.map(drop)
    }

    /// The signals sent on `channel` from now on by [`Self::signal`], here and by other processes. In PostgreSQL all
    /// signals of a server share one connection outside the pool.
    #[must_use]
    pub fn signals(&self, channel: &'static str) -> Signals {
        self.server.signals.subscribe(channel)
    }

    /// Sends `payload` on `channel` to all listeners, without waiting and without a guarantee. Of several signals
    /// with the same `key` only the last one needs to arrive.
    pub fn signal(&self, channel: &'static str, key: impl Into<String>, payload: impl Into<String>) {
        self.server.signals.send(channel, key.into(), payload.into());
    }

    /// Closes all connections, and waits up to 5 seconds for those in use. Afterwards a SQLite file is complete
    /// without its -wal, unless another process uses it.
    pub async fn close(&self) {
        self.server.signals.close().await;
        if self.file().is_none() {
            self.writes().close().await;
            return;
        }
        // A reader of this process that could not be closed would keep the -wal, however long the writer waited for it.
        let Server {
            reads,
            low_priority_reads,
            ..
        } = &*self.server;
        let patience = match tokio::join!(reads.close(), low_priority_reads.close()) {
            (true, true) => FOR_READERS,
            _ => SHORT_WAIT,
        };
        // Closing the last connection does this too, but another process may have that one.
        match timeout(FOR_WRITER, self.writes().loan(self.statement_timeout)).await {
            Ok(Ok(mut writer)) => match empty(&mut writer, patience).await {
                Ok(true) => {}
                Ok(false) => self.report_not_whole(&"another process reads from it"),
                Err(error) => self.report_not_whole(&error),
            },
            Ok(Err(DatabaseError::Sql(sqlx::Error::PoolClosed))) => {}
            Ok(Err(error)) => self.report_not_whole(&error),
            Err(late) => self.report_not_whole(&late),
        }
        self.writes().close().await;
    }

    fn report_not_whole(&self, reason: &dyn Display) {
        tracing::warn!(%reason, url = self.url(), "the database file is not whole without its -wal");
    }
}

//! Connecting, and running statements outside transactions.

use std::{fmt::Display, path::Path, sync::Arc, time::Duration};

use runtime::{BlockingCalls, masked};
use tokio::time::timeout;

use crate::{
    DatabaseError, PooledConnection, PostgresServer, Row, Schema, Signals, StatementTimeout, Value,
    database_file::DatabaseFile,
    error::is_lost,
    pool::Connections,
    pools::{Pools, check},
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
    pools: Pools,
    postgres: Option<PostgresServer>,
    /// Probes of the disk with the file. On a disk that hangs, one probe keeps a thread and the others wait for it.
    probes: BlockingCalls,
    signals: Arc<Hub>,
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
        let pools = Pools::for_url(url, schema, connections)?;
        // At the start, a server that cannot be reached is an error at once.
        match pools.writes.first_loan().await {
            Ok(loan) => drop(loan),
            Err(DatabaseError::Sql(source)) => {
                return Err(DatabaseError::Connect { url: masked(url), source });
            }
            Err(error) => return Err(error),
        }
        if let Some(file) = &pools.file {
            let keeping = keep_small(pools.writes.weak(), file.path.clone());
            runtime::spawn("keeping of a -wal small", keeping);
        }
        let postgres = pools.reads.server();
        Ok(Self {
            server: Arc::new(Server {
                url: masked(url),
                signals: Arc::new(Hub::new(postgres.clone())),
                postgres,
                pools,
                probes: BlockingCalls::new(1, StatementTimeout::Request.limit()),
            }),
            schema,
            statement_timeout: StatementTimeout::Request,
            has_low_priority: false,
        })
    }

    /// Checks that [`Self::connect`] can read `url` and that the files are there which it names, without connecting.
    ///
    /// # Errors
    /// When it is malformed, or a file cannot be used.
    pub fn check_url(url: &str) -> Result<(), DatabaseError> {
        check(url)
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
        (is_shared || schema == self.schema).then(|| Self { schema, ..self.clone() })
    }

    /// The same database with another time limit for statements.
    #[must_use]
    pub fn with_statement_timeout(&self, statement_timeout: StatementTimeout) -> Self {
        Self { statement_timeout, ..self.clone() }
    }

    /// The same database for queries that read much while others wait: on SQLite their threads give way to all others.
    /// A server schedules its own processes.
    #[must_use]
    pub fn with_low_priority(&self) -> Self {
        Self { has_low_priority: true, ..self.clone() }
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
        Ok(self.writes().loan(self.statement_timeout).await?.throw_away_unless_given_back())
    }

    /// A SQLite file that can be written.
    pub(crate) fn file(&self) -> Option<&DatabaseFile> {
        self.server.pools.file.as_ref()
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
            true => &self.server.pools.low_priority_reads,
            false => &self.server.pools.reads,
        }
    }

    pub(crate) fn writes(&self) -> &Connections {
        &self.server.pools.writes
    }

    pub(crate) fn statement_timeout(&self) -> StatementTimeout {
        self.statement_timeout
    }

    /// Runs a statement that writes and returns the number of rows it changed.
    ///
    /// # Errors
    /// When the statement fails; the same for the other methods.
    pub async fn execute(&self, sql: &str, values: &[Value]) -> Result<u64, DatabaseError> {
        self.writes().loan(self.statement_timeout).await?.execute(sql, values).await
    }

    /// Runs a query that only reads and returns its rows. It may be repeated when a connection is lost.
    pub async fn fetch_all(&self, sql: &str, values: &[Value]) -> Result<Vec<Row>, DatabaseError> {
        match self.fetch_once(sql, values).await {
            Err(DatabaseError::Sql(error)) if is_lost(&error) => self.fetch_once(sql, values).await,
            result => result,
        }
    }

    async fn fetch_once(&self, sql: &str, values: &[Value]) -> Result<Vec<Row>, DatabaseError> {
        self.reads().loan(self.statement_timeout).await?.fetch_all(sql, values).await
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
        let Pools { reads, low_priority_reads, .. } = &self.server.pools;
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

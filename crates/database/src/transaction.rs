//! A transaction of either database, with the signals that are sent when it commits.

use std::time::Duration;

use sqlx::{Postgres, postgres::PgArguments, query::Query};

use crate::{Database, DatabaseError, Row, Value, pooled_connection::PooledConnection};

/// A transaction; rolled back when dropped. Each statement has the time limit of its [`Database`]. The server ends a
/// transaction that is idle for 10 seconds, so that a stopped process does not hold locks for longer.
#[derive(Debug)]
pub struct Transaction {
    loan: PooledConnection,
    database: Database,
    /// The channel, the key and the payload of each signal.
    signals: Vec<(&'static str, String, String)>,
}

impl Database {
    /// Begins a transaction that may write.
    ///
    /// # Errors
    /// When no connection is available in time.
    pub async fn begin(&self) -> Result<Transaction, DatabaseError> {
        let statement = if self.is_postgres() {
            "BEGIN"
        } else {
            // A deferred transaction would notice only at its first write that it has to wait.
            "BEGIN IMMEDIATE"
        };
        let loan = self.writes().begin(statement, self.statement_timeout()).await?;
        Ok(Transaction::new(self, loan))
    }

    /// Like [`Self::begin`]. A statement that waits longer than `lock_timeout` for a lock fails, and may succeed
    /// later ([`DatabaseError::is_unavailable`]). On SQLite the whole database is locked when it begins.
    ///
    /// # Errors
    /// When no connection is available in time.
    pub async fn begin_with_lock_timeout(
        &self,
        lock_timeout: Duration,
    ) -> Result<Transaction, DatabaseError> {
        if !self.is_postgres() {
            return self.begin().await;
        }
        let statement = format!("BEGIN; SET LOCAL lock_timeout = {}", lock_timeout.as_millis());
        let loan = self.writes().begin(&statement, self.statement_timeout()).await?;
        Ok(Transaction::new(self, loan))
    }

    /// Begins a transaction that only reads and sees one state throughout. It blocks nobody.
    ///
    /// # Errors
    /// When no connection is available in time.
    pub async fn snapshot(&self) -> Result<Transaction, DatabaseError> {
        let statement =
            if self.is_postgres() { "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY" } else { "BEGIN" };
        let loan = self.reads().begin(statement, self.statement_timeout()).await?;
        Ok(Transaction::new(self, loan))
    }
}

impl Transaction {
    fn new(database: &Database, loan: PooledConnection) -> Self {
        Self { loan, database: database.clone(), signals: Vec::new() }
    }

    /// Whether it is PostgreSQL's, for statements that exist only there.
    pub fn is_postgres(&self) -> bool {
        self.database.is_postgres()
    }

    /// Runs a statement and returns the number of rows it changed.
    ///
    /// # Errors
    /// When the statement fails; the same for the other methods.
    pub async fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64, DatabaseError> {
        self.loan.execute(sql, values).await
    }

    /// Runs a statement with parameters that only PostgreSQL has, such as arrays.
    pub async fn execute_postgres(
        &mut self,
        query: Query<'_, Postgres, PgArguments>,
    ) -> Result<u64, DatabaseError> {
        self.loan.execute_postgres(query).await
    }

    /// Runs statements without parameters.
    pub(crate) async fn run(&mut self, sql: &str) -> Result<(), DatabaseError> {
        self.loan.run(sql).await
    }

    /// Runs a query and returns its rows.
    pub async fn fetch_all(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>, DatabaseError> {
        self.loan.fetch_all(sql, values).await
    }

    /// Runs a query and returns its first row, if any.
    pub async fn fetch_optional(
        &mut self,
        sql: &str,
        values: &[Value],
    ) -> Result<Option<Row>, DatabaseError> {
        Ok(self.fetch_all(sql, values).await?.into_iter().next())
    }

    /// Sends `payload` on `channel` to all listeners once the transaction has committed, as [`Database::signal`]
    /// does.
    pub fn signal(&mut self, channel: &'static str, key: impl Into<String>, payload: impl Into<String>) {
        self.signals.push((channel, key.into(), payload.into()));
    }

    /// Commits: makes all its changes durable and visible.
    ///
    /// # Errors
    /// When the commit failed. Then nothing changed, unless the connection broke or the deadline passed during the
    /// commit.
    pub async fn commit(self) -> Result<(), DatabaseError> {
        self.loan.commit().await?;
        for (channel, key, payload) in self.signals {
            self.database.signal(channel, key, payload);
        }
        Ok(())
    }
}

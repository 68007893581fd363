//! A transaction of either database, with the signals that go out when it commits.

use crate::{
    Database, DatabaseError, Pool, Row, Value,
    database::{run_postgres, run_sqlite},
    pool::Loan,
};

/// A transaction; rolled back when dropped.
#[derive(Debug)]
pub struct Transaction {
    inner: Inner,
    database: Database,
    signals: Vec<(&'static str, String)>,
}

#[derive(Debug)]
enum Inner {
    Postgres(Loan),
    Sqlite(sqlx::Transaction<'static, sqlx::Sqlite>),
}

impl Transaction {
    pub(crate) async fn begin(database: &Database) -> Result<Self, DatabaseError> {
        let inner = match database.pool() {
            Pool::Postgres(pool) => Inner::Postgres(pool.begin("BEGIN").await?),
            // A deferred transaction could find out only at its first write that it must wait for another.
            Pool::Sqlite { writer, .. } => Inner::Sqlite(writer.begin_with("BEGIN IMMEDIATE").await?),
        };
        Ok(Self {
            inner,
            database: database.clone(),
            signals: Vec::new(),
        })
    }

    pub(crate) async fn snapshot(database: &Database) -> Result<Self, DatabaseError> {
        let inner = match database.pool() {
            Pool::Postgres(pool) => Inner::Postgres(
                pool.begin("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                    .await?,
            ),
            Pool::Sqlite { readers, .. } => Inner::Sqlite(readers.begin().await?),
        };
        Ok(Self {
            inner,
            database: database.clone(),
            signals: Vec::new(),
        })
    }

    /// Runs a statement and returns the number of rows it changed.
    ///
    /// # Errors
    /// When the statement fails; likewise for the others.
    pub async fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64, DatabaseError> {
        match &mut self.inner {
            Inner::Postgres(loan) => Ok(run_postgres(sql, values)
                .execute(&mut **loan)
                .await?
                .rows_affected()),
            Inner::Sqlite(tx) => Ok(run_sqlite(sql, values).execute(&mut **tx).await?.rows_affected()),
        }
    }

    /// Runs a query and returns its rows.
    pub async fn fetch_all(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>, DatabaseError> {
        match &mut self.inner {
            Inner::Postgres(loan) => {
                let rows = run_postgres(sql, values).fetch_all(&mut **loan).await?;
                Ok(rows.into_iter().map(Row::Postgres).collect())
            }
            Inner::Sqlite(tx) => {
                let rows = run_sqlite(sql, values).fetch_all(&mut **tx).await?;
                Ok(rows.into_iter().map(Row::Sqlite).collect())
            }
        }
    }

    /// Runs a query and returns its first row, if any.
    pub async fn fetch_optional(
        &mut self,
        sql: &str,
        values: &[Value],
    ) -> Result<Option<Row>, DatabaseError> {
        Ok(self.fetch_all(sql, values).await?.into_iter().next())
    }

    /// The connection, when it is PostgreSQL's: for statements that exist only there.
    pub fn postgres(&mut self) -> Option<&mut sqlx::PgConnection> {
        match &mut self.inner {
            Inner::Postgres(loan) => Some(&mut **loan),
            Inner::Sqlite(_) => None,
        }
    }

    /// Sends a signal on `channel` to everyone who waits, if and when the transaction commits.
    ///
    /// # Errors
    /// When PostgreSQL does not take it.
    pub async fn signal(&mut self, channel: &'static str, payload: String) -> Result<(), DatabaseError> {
        match &self.inner {
            Inner::Postgres(_) => {
                self.execute("SELECT pg_notify($1, $2)", &[channel.into(), payload.into()])
                    .await?;
            }
            Inner::Sqlite(_) => self.signals.push((channel, payload)),
        }
        Ok(())
    }

    /// Makes it so.
    ///
    /// # Errors
    /// When the database could not; then nothing happened, unless the connection broke at that very moment.
    pub async fn commit(self) -> Result<(), DatabaseError> {
        match self.inner {
            Inner::Postgres(loan) => loan.commit().await?,
            Inner::Sqlite(tx) => tx.commit().await?,
        }
        for (channel, payload) in self.signals {
            self.database.send_local(channel, payload);
        }
        Ok(())
    }
}

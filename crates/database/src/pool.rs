//! The connection pool. Everything that is done with a connection has a deadline.
//!
//! The driver's own pool asks the server once more after each use (docs/adr/0010). Here a connection returns to the
//! pool at once, unless a statement or a transaction is unfinished: that is ended first, in the background, within a
//! short time.

use std::time::Duration;

use deadpool::managed::{self, PoolError, QueueMode};
use futures::future::BoxFuture;
use sqlx::{PgConnection, postgres::PgConnectOptions};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::{
    DatabaseError, StatementTimeout,
    error::{is_full, is_lost},
    manager::{ACQUIRE_TIMEOUT, Manager, Options, close},
    pool_metrics,
    pooled_connection::PooledConnection,
    session::connect_postgres,
};

/// The time limit for getting a connection on SQLite, where all writers queue for one connection.
const ACQUIRE_TIMEOUT_SQLITE: Duration = Duration::from_secs(15);
/// A connection that was not used for this time is closed.
const IDLE: Duration = Duration::from_secs(60);

/// A pool of connections. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Connections(managed::Pool<Manager>);

impl Connections {
    /// Creates a pool with at most `connections` connections, which are opened when needed. Metrics show them under
    /// the name `database`.
    pub(crate) fn new(database: String, options: Options, connections: u32) -> Result<Self, sqlx::Error> {
        let pool = managed::Pool::builder(Manager::new(options))
            .max_size(usize::try_from(connections).unwrap_or(usize::MAX))
            // The connection that was used last needs no test, and has the statements prepared.
            .queue_mode(QueueMode::Lifo)
            .build()
            .map_err(|error| sqlx::Error::Configuration(error.into()))?;
        runtime::spawn("closing of idle connections", close_idle(pool.weak()));
        pool_metrics::show(database, pool.weak());
        Ok(Self(pool))
    }

    /// The next free connection, within 5 seconds, or 15 on SQLite. Boxed, so that it is compiled only once, in this
    /// crate.
    pub(crate) fn loan(
        &self,
        statement_timeout: StatementTimeout,
    ) -> BoxFuture<'_, Result<PooledConnection, DatabaseError>> {
        Box::pin(async move {
            let longest = match self.manager().options {
                Options::Postgres(_) => ACQUIRE_TIMEOUT,
                Options::Sqlite(..) => ACQUIRE_TIMEOUT_SQLITE,
            };
            let waiting = timeout(longest, self.0.get()).await;
            let session = waiting.map_err(|_| sqlx::Error::PoolTimedOut)?.map_err(|error| match error {
                PoolError::Backend(error) => error,
                PoolError::Closed => sqlx::Error::PoolClosed,
                PoolError::Timeout(_) | PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_) => {
                    sqlx::Error::PoolTimedOut
                }
            })?;
            let mut loan = PooledConnection::new(session, statement_timeout);
            loan.announce_statement_timeout().await?;
            Ok(loan)
        })
    }

    /// Like [`Self::loan`], for the start of a process: fails at once when there is no server, but waits while the
    /// server accepts no more connections.
    pub(crate) async fn first_loan(&self) -> Result<PooledConnection, DatabaseError> {
        loop {
            match self.loan(StatementTimeout::Request).await {
                Err(DatabaseError::Sql(error)) if is_full(&error) => {}
                result => return result,
            }
        }
    }

    /// Those of a pool that is there already.
    pub(crate) const fn of(pool: managed::Pool<Manager>) -> Self {
        Self(pool)
    }

    /// The pool, for whoever works on it as long as others do.
    pub(crate) fn weak(&self) -> managed::WeakPool<Manager> {
        self.0.weak()
    }

    /// The server, for connections outside the pool; `None` on SQLite.
    pub(crate) fn server(&self) -> Option<PostgresServer> {
        match &self.0.manager().options {
            Options::Postgres(options) => Some(PostgresServer(options.clone())),
            Options::Sqlite(..) => None,
        }
    }

    /// Begins a transaction. This has no effect, so it may be repeated like a query.
    pub(crate) async fn begin(
        &self,
        statement: &str,
        statement_timeout: StatementTimeout,
    ) -> Result<PooledConnection, DatabaseError> {
        match self.loan(statement_timeout).await?.begin(statement).await {
            Err(DatabaseError::Sql(error)) if is_lost(&error) => {
                self.loan(statement_timeout).await?.begin(statement).await
            }
            result => result,
        }
    }

    /// Closes all connections, and waits up to 5 seconds for those in use. No more are handed out. Returns whether all
    /// were closed in time.
    pub(crate) async fn close(&self) -> bool {
        let ending = &self.manager().ending;
        for session in self.0.retain(|_, _| false).removed {
            ending.spawn(close(session));
        }
        // From now on callers get an error, and a connection that is returned is closed.
        self.0.close();
        ending.close();
        let deadline = Instant::now() + ACQUIRE_TIMEOUT;
        while self.0.status().size > 0 && Instant::now() < deadline {
            sleep(Duration::from_millis(2)).await;
        }
        let is_closed = timeout_at(deadline, ending.wait()).await.is_ok() && self.0.status().size == 0;
        if !is_closed {
            tracing::warn!("connections to a database were not closed in time");
        }
        is_closed
    }

    fn manager(&self) -> &Manager {
        self.0.manager()
    }
}

/// A PostgreSQL server, for connections outside the pool: for locks that must end with their connection, and for
/// connections that no other statement may use.
#[derive(Debug, Clone)]
pub struct PostgresServer(Box<PgConnectOptions>);

impl PostgresServer {
    /// Opens a connection with the usual settings, within 5 seconds. The caller must give each statement a deadline.
    ///
    /// # Errors
    /// When the server does not accept it in time.
    pub async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        in_time(connect_postgres(&self.0)).await
    }

    pub(crate) fn options(&self) -> &PgConnectOptions {
        &self.0
    }
}

/// Waits up to 5 seconds for what is done over a connection outside the pool.
pub(crate) async fn in_time<T>(work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    timeout(ACQUIRE_TIMEOUT, work).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

/// Closes idle connections regularly, until the pool is dropped.
async fn close_idle(pool: managed::WeakPool<Manager>) {
    loop {
        sleep(IDLE / 2).await;
        let Some(pool) = pool.upgrade() else { return };
        for session in pool.retain(|_, metrics| metrics.last_used() < IDLE).removed {
            close(session).await;
        }
    }
}

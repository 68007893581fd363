//! Connections, kept for whoever needs one next, and lent with a deadline for everything that is done on them.
//!
//! The driver's own pool asks the server once more after each use (docs/adr/0010). Here a connection goes back at once,
//! unless it is left in the middle of something: then that is ended first, in the background, and quickly.

use std::time::Duration;

use deadpool::managed::{self, PoolError, QueueMode};
use futures::future::BoxFuture;
use sqlx::{PgConnection, postgres::PgConnectOptions};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::{
    DatabaseError, StatementTimeout,
    error::is_lost,
    manager::{LOAN, Manager, Options, close, is_full},
    pool_metrics,
    pooled_connection::PooledConnection,
    session::connect_postgres,
};

/// SQLite has one connection that writes, for which all who write queue.
const LOAN_SQLITE: Duration = Duration::from_secs(15);
/// A connection that nobody has needed for so long is closed: others may need the place.
const IDLE: Duration = Duration::from_secs(60);

/// A pool of connections. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Connections(managed::Pool<Manager>);

impl Connections {
    /// At most `connections`, each made when it is first needed. Metrics show them under the name `database`.
    pub(crate) fn new(database: String, options: Options, connections: u32) -> Result<Self, sqlx::Error> {
        let pool = managed::Pool::builder(Manager::new(options))
            .max_size(usize::try_from(connections).unwrap_or(usize::MAX))
            // The connection used last is the one that needs no test, and knows the statements.
            .queue_mode(QueueMode::Lifo)
            .build()
            .map_err(|error| sqlx::Error::Configuration(error.into()))?;
        runtime::spawn("closing of idle connections", close_idle(pool.weak()));
        pool_metrics::show(database, pool.weak());
        Ok(Self(pool))
    }

    /// The next free connection, within 5 seconds, or 15 on SQLite. Boxed, so that it is compiled only here.
    pub(crate) fn loan(
        &self,
        statement_timeout: StatementTimeout,
    ) -> BoxFuture<'_, Result<PooledConnection, DatabaseError>> {
        Box::pin(async move {
            let longest = match self.manager().options {
                Options::Postgres(_) => LOAN,
                Options::Sqlite(_) => LOAN_SQLITE,
            };
            let waiting = timeout(longest, self.0.get()).await;
            let session = waiting
                .map_err(|_| sqlx::Error::PoolTimedOut)?
                .map_err(|error| match error {
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

    /// As [`Self::loan`], for whoever starts: is told at once when there is no server, but waits while there is one
    /// that takes no more connections.
    pub(crate) async fn first_loan(&self) -> Result<PooledConnection, DatabaseError> {
        loop {
            match self.loan(StatementTimeout::Request).await {
                Err(DatabaseError::Sql(error)) if is_full(&error) => {}
                result => return result,
            }
        }
    }

    /// The server, for connections outside the pool. `None` on SQLite.
    pub(crate) fn server(&self) -> Option<PostgresServer> {
        match &self.0.manager().options {
            Options::Postgres(options) => Some(PostgresServer(options.clone())),
            Options::Sqlite(_) => None,
        }
    }

    /// Begins a transaction. A beginning has no effect, so it may be tried twice like a query.
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

    /// Closes all connections, those in use when they come back, for which it waits up to 5 seconds. None are given out
    /// any more.
    pub(crate) async fn close(&self) {
        let ending = &self.manager().ending;
        for session in self.0.retain(|_, _| false).removed {
            ending.spawn(close(session));
        }
        // Whoever asks from now on is told so, and a connection that comes back is closed by its last user.
        self.0.close();
        ending.close();
        let deadline = Instant::now() + LOAN;
        while self.0.status().size > 0 && Instant::now() < deadline {
            sleep(Duration::from_millis(2)).await;
        }
        if timeout_at(deadline, ending.wait()).await.is_err() {
            tracing::warn!("connections to a database were not closed in time");
        }
    }

    fn manager(&self) -> &Manager {
        self.0.manager()
    }
}

/// A PostgreSQL server, for connections outside the pool: for what must end with its connection, and for what others
/// must not run on.
#[derive(Debug, Clone)]
pub struct PostgresServer(Box<PgConnectOptions>);

impl PostgresServer {
    /// A connection with the settings of all others, within 5 seconds. Its user gives each statement a deadline.
    ///
    /// # Errors
    /// When the server does not take it.
    pub async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        timeout(LOAN, connect_postgres(&self.0))
            .await
            .unwrap_or(Err(sqlx::Error::PoolTimedOut))
    }

    pub(crate) fn options(&self) -> &PgConnectOptions {
        &self.0
    }
}

/// Closes what has not been used for a while, until the pool is gone.
async fn close_idle(pool: managed::WeakPool<Manager>) {
    loop {
        sleep(IDLE / 2).await;
        let Some(pool) = pool.upgrade() else { return };
        for session in pool.retain(|_, metrics| metrics.last_used() < IDLE).removed {
            close(session).await;
        }
    }
}

//! Connections to PostgreSQL, kept for whoever needs one next.
//!
//! The driver's own pool asks the server once more after each use (docs/adr/0010). Here a connection goes back at once,
//! unless it is left in the middle of something: then that is ended first, in the background.

use std::{
    ops::{Deref, DerefMut},
    sync::Arc,
    time::Duration,
};

use deadpool::managed::{self, Metrics, Object, PoolError, QueueMode, RecycleError, RecycleResult};
use sqlx::{
    ConnectOptions as _, Connection as _, Executor as _, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgDatabaseError, PgPoolOptions, PgSeverity},
};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::{Value, database::run_postgres, row::Row};

/// How long a caller waits for a connection, and a new connection for the server.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two tries to reach a server that is just starting.
const PAUSE: Duration = Duration::from_millis(100);
/// A connection that was used so shortly before is taken without a test: one in steady use is as good as tested, and a
/// test costs a round trip.
const TRUSTED: Duration = Duration::from_secs(1);
/// A session's memory grows with all that it has seen, and after a failover it is on the wrong server.
const LIFETIME: Duration = Duration::from_secs(30 * 60);

/// A pool of connections. Cheap to clone.
#[derive(Debug, Clone)]
pub struct PostgresPool(managed::Pool<Manager>);

#[derive(Debug)]
struct Manager {
    options: Arc<PgConnectOptions>,
}

impl managed::Manager for Manager {
    type Type = PgConnection;
    type Error = sqlx::Error;

    async fn create(&self) -> Result<PgConnection, sqlx::Error> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match timeout_at(deadline, self.options.connect()).await {
                Err(_) => return Err(sqlx::Error::PoolTimedOut),
                Ok(Err(error)) if is_starting(&error) && Instant::now() + PAUSE < deadline => {
                    sleep(PAUSE).await
                }
                Ok(result) => return result,
            }
        }
    }

    async fn recycle(&self, connection: &mut PgConnection, metrics: &Metrics) -> RecycleResult<sqlx::Error> {
        if metrics.age() > LIFETIME {
            return Err(RecycleError::message("it has served its time"));
        }
        if metrics.last_used() > TRUSTED {
            connection.ping().await?;
        }
        Ok(())
    }
}

impl PostgresPool {
    /// At most `connections`, each made when it is first needed.
    pub(crate) fn new(options: PgConnectOptions, connections: u32) -> Result<Self, sqlx::Error> {
        let manager = Manager {
            options: Arc::new(options),
        };
        managed::Pool::builder(manager)
            .max_size(usize::try_from(connections).unwrap_or(usize::MAX))
            // The connection used last is the one that needs no test, and knows the statements.
            .queue_mode(QueueMode::Lifo)
            .build()
            .map(Self)
            .map_err(|error| sqlx::Error::Configuration(error.into()))
    }

    fn options(&self) -> &PgConnectOptions {
        &self.0.manager().options
    }

    /// A connection outside the pool, for what must end with it, and what others must not run on.
    ///
    /// # Errors
    /// When the server does not take it.
    pub async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        self.options().connect().await
    }

    /// A pool of one connection for what the driver does only with a pool of its own, made when it is needed.
    pub(crate) fn of_the_driver(&self) -> PgPool {
        PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(PATIENCE)
            .connect_lazy_with(self.options().clone())
    }

    /// The next free connection, within 5 seconds.
    pub(crate) async fn loan(&self) -> Result<Loan, sqlx::Error> {
        let waiting = timeout(PATIENCE, self.0.get()).await;
        let connection = waiting
            .map_err(|_| sqlx::Error::PoolTimedOut)?
            .map_err(|error| match error {
                PoolError::Backend(error) => error,
                PoolError::Closed => sqlx::Error::PoolClosed,
                PoolError::Timeout(_) | PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_) => {
                    sqlx::Error::PoolTimedOut
                }
            })?;
        Ok(Loan {
            connection: Some(connection),
            left: Left::Ready,
        })
    }

    pub(crate) async fn execute(&self, sql: &str, values: &[Value]) -> Result<u64, sqlx::Error> {
        let mut loan = self.loan().await?;
        let result = run_postgres(sql, values).execute(&mut *loan).await;
        Ok(loan.end(result)?.rows_affected())
    }

    /// For what only reads, since it is asked again if the connection turns out to be lost.
    pub(crate) async fn fetch_all(&self, sql: &str, values: &[Value]) -> Result<Vec<Row>, sqlx::Error> {
        match self.loan().await?.fetch_all(sql, values).await {
            Err(error) if is_lost(&error) => self.loan().await?.fetch_all(sql, values).await,
            result => result,
        }
    }

    /// A connection in a transaction. A beginning has no effect, so it may be tried twice like a query.
    pub(crate) async fn begin(&self, statement: &'static str) -> Result<Loan, sqlx::Error> {
        match self.loan().await?.begin(statement).await {
            Err(error) if is_lost(&error) => self.loan().await?.begin(statement).await,
            result => result,
        }
    }

    /// Closes all that are free now, and others when they come back. None are given out any more.
    pub(crate) async fn close(&self) {
        let free = self.0.retain(|_, _| false).removed;
        self.0.close();
        for connection in free {
            // The server notices by itself, if this fails.
            let _ = timeout(PATIENCE, connection.close()).await;
        }
    }
}

/// A connection on loan. It goes back when dropped, after what was left unfinished has been ended.
#[derive(Debug)]
pub(crate) struct Loan {
    /// There until dropped.
    connection: Option<Object<Manager>>,
    left: Left,
}

/// How the connection would be left if it were dropped now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    /// For the next user.
    Ready,
    /// With a statement under way.
    AtWork,
    /// In a transaction.
    InTransaction,
    /// Not to be used again.
    Lost,
}

impl Loan {
    /// Ends the use of the connection. Passes on `result`, which tells whether it can be used again.
    fn end<T>(mut self, result: Result<T, sqlx::Error>) -> Result<T, sqlx::Error> {
        self.left = match &result {
            Err(error) if is_lost(error) => Left::Lost,
            _ => Left::Ready,
        };
        result
    }

    async fn fetch_all(mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>, sqlx::Error> {
        let result = run_postgres(sql, values).fetch_all(&mut *self).await;
        Ok(self.end(result)?.into_iter().map(Row::Postgres).collect())
    }

    async fn begin(mut self, statement: &'static str) -> Result<Self, sqlx::Error> {
        self.left = Left::InTransaction;
        match self.execute(statement).await {
            Ok(_) => Ok(self),
            Err(error) => self.end(Err(error)),
        }
    }

    pub(crate) async fn commit(mut self) -> Result<(), sqlx::Error> {
        self.execute("COMMIT").await?;
        self.left = Left::Ready;
        Ok(())
    }
}

impl Deref for Loan {
    type Target = PgConnection;

    #[expect(clippy::expect_used, reason = "as its comment says")]
    fn deref(&self) -> &PgConnection {
        self.connection.as_ref().expect("there until dropped")
    }
}

impl DerefMut for Loan {
    #[expect(clippy::expect_used, reason = "as its comment says")]
    fn deref_mut(&mut self) -> &mut PgConnection {
        if self.left == Left::Ready {
            self.left = Left::AtWork;
        }
        self.connection.as_mut().expect("there until dropped")
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else {
            return;
        };
        let runtime = tokio::runtime::Handle::try_current();
        match (self.left, runtime) {
            (Left::Ready, _) => {}
            (Left::AtWork | Left::InTransaction, Ok(runtime)) => {
                runtime.spawn(tidy(connection, self.left));
            }
            (Left::AtWork | Left::InTransaction | Left::Lost, _) => discard(connection),
        }
    }
}

/// Ends what was left unfinished, so that it holds no locks and the next user finds nothing of it.
async fn tidy(mut connection: Object<Manager>, left: Left) {
    let ending = async {
        match left {
            Left::InTransaction => connection.execute("ROLLBACK").await.map(drop),
            _ => connection.ping().await,
        }
    };
    if !matches!(timeout(PATIENCE, ending).await, Ok(Ok(()))) {
        discard(connection);
    }
}

/// Closes the connection and those that wait beside it: what has cut one has as a rule cut all.
fn discard(connection: Object<Manager>) {
    let pool = Object::pool(&connection);
    drop(Object::take(connection));
    if let Some(pool) = pool {
        drop(pool.retain(|_, _| false));
    }
}

/// Whether the server is not there yet, or not for everybody.
fn is_starting(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => error.kind() == std::io::ErrorKind::ConnectionRefused,
        // Too many connections, and "the database system is starting up".
        sqlx::Error::Database(error) => matches!(error.code().as_deref(), Some("53300" | "57P03")),
        _ => false,
    }
}

/// Whether the connection did not survive.
fn is_lost(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => error
            .try_downcast_ref::<PgDatabaseError>()
            .is_none_or(|error| matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic)),
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) => true,
        _ => false,
    }
}

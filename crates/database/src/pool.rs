//! Connections, kept for whoever needs one next, and lent with a deadline for everything that is done on them.
//!
//! The driver's own pool asks the server once more after each use (docs/adr/0010). Here a connection goes back at once,
//! unless it is left in the middle of something: then that is ended first, in the background, and quickly.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use deadpool::managed::{self, Metrics, Object, PoolError, QueueMode, RecycleError, RecycleResult};
use runtime::Backoff;
use sqlx::{PgConnection, postgres::PgConnectOptions, sqlite::SqliteConnectOptions};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::task::TaskTracker;

use crate::{
    DatabaseError, Patience,
    error::is_lost,
    loan::Loan,
    session::{Session, connect_postgres},
};

/// How long a caller waits for a connection to a server, and a new connection for the server.
pub(crate) const LOAN: Duration = Duration::from_secs(5);
/// SQLite has one connection that writes, for which all who write queue.
const LOAN_SQLITE: Duration = Duration::from_secs(15);
/// Between two tries to reach a server that is just starting, or takes no more connections.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
/// A connection that was used so shortly before is taken without a test: one in steady use is as good as tested, and a
/// test costs a round trip.
const TRUSTED: Duration = Duration::from_secs(1);
/// A session's memory grows with all that it has seen, and after a failover it is on the wrong server.
const LIFETIME: Duration = Duration::from_secs(30 * 60);
/// A connection that nobody has needed for so long is closed: others may need the place.
const IDLE: Duration = Duration::from_secs(60);
/// How often it is said that a server takes no more connections.
const COMPLAIN_EVERY: Duration = Duration::from_secs(10);

/// How to connect.
#[derive(Debug, Clone)]
pub(crate) enum Options {
    Postgres(Box<PgConnectOptions>),
    Sqlite(Box<SqliteConnectOptions>),
}

/// A pool of connections. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Connections(managed::Pool<Manager>);

#[derive(Debug)]
pub(crate) struct Manager {
    options: Options,
    /// What is still being ended after its user has gone.
    pub(crate) ending: TaskTracker,
    complained: Mutex<Option<Instant>>,
}

impl managed::Manager for Manager {
    type Type = Session;
    type Error = sqlx::Error;

    async fn create(&self) -> Result<Session, sqlx::Error> {
        let deadline = Instant::now() + LOAN;
        let mut backoff = BACKOFF;
        loop {
            match timeout_at(deadline, self.connect()).await {
                Err(_) => return Err(sqlx::Error::PoolTimedOut),
                Ok(Err(error)) if is_starting(&error) => {
                    self.complain(&error);
                    let pause = backoff.pause();
                    if Instant::now() + pause >= deadline {
                        return Err(error);
                    }
                    sleep(pause).await;
                }
                Ok(result) => return result,
            }
        }
    }

    async fn recycle(&self, session: &mut Session, metrics: &Metrics) -> RecycleResult<sqlx::Error> {
        if matches!(session, Session::Sqlite { .. }) {
            return Ok(());
        }
        if metrics.age() > LIFETIME {
            return Err(RecycleError::message("it has served its time"));
        }
        if metrics.last_used() > TRUSTED {
            session.ping().await?;
        }
        Ok(())
    }
}

impl Manager {
    async fn connect(&self) -> Result<Session, sqlx::Error> {
        match &self.options {
            Options::Postgres(options) => Session::connect_postgres(options).await,
            Options::Sqlite(options) => Session::connect_sqlite(options).await,
        }
    }

    /// Says that the server takes no more connections, now and then.
    fn complain(&self, error: &sqlx::Error) {
        if !is_full(error) {
            return;
        }
        let mut complained = self.complained.lock().unwrap_or_else(PoisonError::into_inner);
        if complained.is_none_or(|last| last.elapsed() > COMPLAIN_EVERY) {
            *complained = Some(Instant::now());
            tracing::warn!(%error, "PostgreSQL takes no more connections: waiting for one");
        }
    }
}

impl Connections {
    /// At most `connections`, each made when it is first needed.
    pub(crate) fn new(options: Options, connections: u32) -> Result<Self, sqlx::Error> {
        let manager = Manager {
            options,
            ending: TaskTracker::new(),
            complained: Mutex::new(None),
        };
        let pool = managed::Pool::builder(manager)
            .max_size(usize::try_from(connections).unwrap_or(usize::MAX))
            // The connection used last is the one that needs no test, and knows the statements.
            .queue_mode(QueueMode::Lifo)
            .build()
            .map_err(|error| sqlx::Error::Configuration(error.into()))?;
        runtime::spawn("closing of idle connections", close_idle(pool.weak()));
        Ok(Self(pool))
    }

    /// The next free connection, within 5 seconds, or 15 on SQLite.
    pub(crate) async fn loan(&self, patience: Patience) -> Result<Loan, DatabaseError> {
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
        let mut loan = Loan::new(session, patience);
        loan.announce_patience().await?;
        Ok(loan)
    }

    /// As [`Self::loan`], for whoever starts: is told at once when there is no server, but waits while there is one
    /// that takes no more connections.
    pub(crate) async fn first_loan(&self) -> Result<Loan, DatabaseError> {
        loop {
            match self.loan(Patience::Request).await {
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
    pub(crate) async fn begin(&self, statement: &str, patience: Patience) -> Result<Loan, DatabaseError> {
        match self.loan(patience).await?.begin(statement).await {
            Err(DatabaseError::Sql(error)) if is_lost(&error) => {
                self.loan(patience).await?.begin(statement).await
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

/// Closes a connection in order. A server notices by itself, if this fails.
pub(crate) async fn close(session: Session) {
    match timeout(LOAN, session.close()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a connection to a database did not close in order"),
        Err(_) => tracing::debug!("a connection to a database did not close in time"),
    }
}

/// Puts a connection back that has nothing under way; closes it in order when the pool takes none any more.
pub(crate) fn put_back(object: Object<Manager>) {
    if let Some(pool) = Object::pool(&object)
        && pool.is_closed()
    {
        close_in_background(&pool, Object::take(object));
    }
}

/// Closes a connection at once, whatever is under way on it.
pub(crate) fn discard(object: Object<Manager>) {
    let pool = Object::pool(&object);
    let session = Object::take(object);
    session.interrupt();
    // PostgreSQL's is dropped: to say goodbye it would wait for the statement. SQLite lets go of the file when its thread
    // has ended.
    if matches!(session, Session::Sqlite { .. })
        && let Some(pool) = pool
    {
        close_in_background(&pool, session);
    }
}

/// As [`discard`], with those that wait beside it: what has cut one connection to a server has as a rule cut all.
pub(crate) fn discard_all(object: Object<Manager>) {
    if let Some(pool) = Object::pool(&object)
        && matches!(*object, Session::Postgres { .. })
    {
        drop(pool.retain(|_, _| false));
    }
    discard(object);
}

fn close_in_background(pool: &managed::Pool<Manager>, session: Session) {
    // Without a runtime it is dropped, which closes it, too.
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        pool.manager().ending.spawn_on(close(session), &runtime);
    }
}

/// Whether the server is not there yet, or not for everybody.
fn is_starting(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => error.kind() == std::io::ErrorKind::ConnectionRefused,
        // "The database system is starting up".
        sqlx::Error::Database(error) => {
            is_full_code(error.code().as_deref()) || error.code().as_deref() == Some("57P03")
        }
        _ => false,
    }
}

/// Whether the server, or this role or database on it, has too many connections.
fn is_full(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(error) if is_full_code(error.code().as_deref()))
}

fn is_full_code(code: Option<&str>) -> bool {
    code == Some("53300")
}

//! Opens connections, tests those that are reused, and closes those that cannot be used any more.

use std::time::Duration;

use deadpool::managed::{self, Metrics, Object, RecycleError, RecycleResult};
use parking_lot::Mutex;
use runtime::{Backoff, LogLimit};
use sqlx::{postgres::PgConnectOptions, sqlite::SqliteConnectOptions};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::task::TaskTracker;

use crate::{
    error::{is_full, is_starting},
    priority::Priority,
    session::Session,
};

/// The time limit for getting a connection from the pool, and for opening one outside it.
pub(crate) const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// The time limit for opening a connection of the pool: a little shorter, so that whoever waits is told the reason.
const OPEN_TIMEOUT: Duration = ACQUIRE_TIMEOUT.saturating_sub(Duration::from_millis(250));
/// The pauses between attempts to reach a server that is starting, or that accepts no more connections.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
/// A connection that was taken within this time is not tested before it is used again. A test costs a round trip.
const TRUSTED: Duration = Duration::from_secs(1);
/// The time limit of that test. Whoever waits for two of them still has time to open another connection.
const TEST_TIMEOUT: Duration = Duration::from_secs(1);
/// The longest lifetime of a connection. A session's memory grows with use, and after a failover it may be connected
/// to the wrong server.
const LIFETIME: Duration = Duration::from_secs(30 * 60);

/// The options of new connections.
#[derive(Debug, Clone)]
pub(crate) enum Options {
    Postgres(Box<PgConnectOptions>),
    Sqlite(Box<SqliteConnectOptions>, Priority),
}

#[derive(Debug)]
pub(crate) struct Manager {
    pub(crate) options: Options,
    /// Statements that are still being ended after their user has gone.
    pub(crate) ending: TaskTracker,
    /// Of the log lines that the server accepts no more connections.
    complaints: Mutex<LogLimit>,
    silence: Mutex<Silence>,
}

/// Which tests were not answered in time. One alone may only mean that the server is busy. Whatever silences two
/// connections in a row has usually silenced all.
#[derive(Debug, Default)]
struct Silence {
    /// When the last test began, if it was not answered in time.
    late: Option<std::time::Instant>,
    /// When the first of two tests in a row began that were not answered in time. Connections that were last taken
    /// before are not used again.
    since: Option<std::time::Instant>,
}

impl managed::Manager for Manager {
    type Type = Session;
    type Error = sqlx::Error;

    async fn create(&self) -> Result<Session, sqlx::Error> {
        let deadline = Instant::now() + OPEN_TIMEOUT;
        let mut backoff = BACKOFF;
        let mut reason = sqlx::Error::PoolTimedOut;
        loop {
            match timeout_at(deadline, self.connect()).await {
                Err(_) => return Err(reason),
                Ok(Err(error)) if is_starting(&error) => {
                    self.complain(&error);
                    let pause = backoff.pause();
                    if Instant::now() + pause >= deadline {
                        return Err(error);
                    }
                    sleep(pause).await;
                    reason = error;
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
        // When it was taken from the pool, however long it was used then.
        let last_taken = metrics.recycled.unwrap_or(metrics.created);
        if self.silence.lock().is_shared_by(last_taken) {
            return Err(RecycleError::message("others did not answer"));
        }
        if last_taken.elapsed() > TRUSTED {
            let begun = std::time::Instant::now();
            let Ok(answer) = timeout(TEST_TIMEOUT, session.ping()).await else {
                self.silence.lock().note_late(begun);
                return Err(RecycleError::message("it does not answer"));
            };
            answer?;
            self.silence.lock().note_answered();
        }
        Ok(())
    }
}

impl Silence {
    /// Notes that a test was not answered in time that began at `begun`.
    fn note_late(&mut self, begun: std::time::Instant) {
        self.since = self.late.replace(begun).or(self.since);
    }

    fn note_answered(&mut self) {
        self.late = None;
    }

    /// Whether a connection that was last taken at `taken` is probably silent, too.
    fn is_shared_by(&self, taken: std::time::Instant) -> bool {
        self.since.is_some_and(|since| taken <= since)
    }
}

impl Manager {
    pub(crate) fn new(options: Options) -> Self {
        Self { options, ending: TaskTracker::new(), complaints: Mutex::default(), silence: Mutex::default() }
    }

    async fn connect(&self) -> Result<Session, sqlx::Error> {
        match &self.options {
            Options::Postgres(options) => Session::connect_postgres(options).await,
            Options::Sqlite(options, priority) => {
                Session::connect_sqlite(options, *priority, &self.ending).await
            }
        }
    }

    fn complain(&self, error: &sqlx::Error) {
        if is_full(error) && self.complaints.lock().count(1).is_some() {
            tracing::warn!(%error, "PostgreSQL takes no more connections: waiting for one");
        }
    }
}

/// Closes a connection properly. If this fails the server notices by itself.
pub(crate) async fn close(session: Session) {
    match timeout(ACQUIRE_TIMEOUT, session.close()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a connection to a database did not close in order"),
        Err(_) => tracing::debug!("a connection to a database did not close in time"),
    }
}

/// Returns an idle connection to the pool; closes it properly if the pool is closed.
pub(crate) fn put_back(object: Object<Manager>) {
    if let Some(pool) = Object::pool(&object)
        && pool.is_closed()
    {
        close_in_background(&pool, Object::take(object));
    }
}

/// Closes a connection at once, with whatever it is doing.
pub(crate) fn discard(object: Object<Manager>) {
    let pool = Object::pool(&object);
    let session = Object::take(object);
    session.interrupt();
    // A connection to PostgreSQL is dropped: closing it properly would wait for the statement. SQLite releases the
    // file when its thread has ended.
    if matches!(session, Session::Sqlite { .. })
        && let Some(pool) = pool
    {
        close_in_background(&pool, session);
    }
}

/// Like [`discard`], and also discards all idle connections: whatever cut one connection to a server has usually cut
/// all.
pub(crate) fn discard_all(object: Object<Manager>) {
    if let Some(pool) = Object::pool(&object)
        && matches!(*object, Session::Postgres { .. })
    {
        drop(pool.retain(|_, _| false));
    }
    discard(object);
}

fn close_in_background(pool: &managed::Pool<Manager>, session: Session) {
    // Without a runtime the connection is dropped, which closes it, too.
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        pool.manager().ending.spawn_on(close(session), &runtime);
    }
}

#[cfg(test)]
mod tests {
    use deadpool::managed::Manager as _;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;
    use crate::error::is_lost;

    /// As the server sends it.
    const REFUSAL: &[u8] = b"E\0\0\0\x30SFATAL\0VFATAL\0C53300\0Mtoo many connections\0\0";

    #[tokio::test]
    async fn why_a_server_took_no_connection_is_told_when_it_does_not_answer_any_more() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let url = format!("postgres://user@{address}/database?sslmode=disable");
        let manager = Manager::new(Options::Postgres(Box::new(url.parse().unwrap())));
        let server = async {
            let (mut refused, _) = listener.accept().await.unwrap();
            assert!(refused.read(&mut [0; 1_024]).await.unwrap() > 0);
            refused.write_all(REFUSAL).await.unwrap();
            let _unanswered = listener.accept().await.unwrap();
            // From here on only the time limit can end it, and passes at once.
            tokio::time::pause();
            std::future::pending::<()>().await;
        };
        let error = tokio::select! {
            opened = manager.create() => opened.unwrap_err(),
            () = server => unreachable!(),
        };
        assert!(is_full(&error), "{error}");
        assert!(!is_lost(&error), "it would be waited for a second time");
    }

    #[test]
    fn one_late_answer_says_nothing_of_other_connections() {
        let taken = std::time::Instant::now();
        let [first, second, third] = [1, 2, 3].map(|second| taken + Duration::from_secs(second));
        let mut silence = Silence::default();
        silence.note_late(first);
        assert!(!silence.is_shared_by(taken));
        silence.note_answered();
        silence.note_late(second);
        assert!(!silence.is_shared_by(taken));
        silence.note_late(third);
        assert!(silence.is_shared_by(taken));
        assert!(!silence.is_shared_by(third));
    }
}

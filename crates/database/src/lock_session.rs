//! A session for a lock that its holder has only as long as it is alive: the holder asks the server every second, and
//! the server ends a session that is silent for some seconds. So a stopped process keeps no lock, and a holder notices
//! when the server was restarted. [`crate::ProcessLock`] alone lets its session be silent for any time.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use sqlx::{Connection as _, PgConnection, Postgres};
use tokio::{
    sync::Mutex,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{DatabaseError, PostgresServer};

/// How often the holder checks that it still has the lock.
const INTERVAL: Duration = Duration::from_secs(1);
/// A holder that gets no answer within this time treats the lock as lost.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// The name of a lock among those of one database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockName {
    /// A number, by which PostgreSQL itself knows locks.
    Number(i64),
    /// A text, of which PostgreSQL makes the number.
    Text(&'static str),
}

/// Whether several sessions may have a lock at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockMode {
    /// Only one session has the lock.
    Exclusive,
    /// All who have the lock have it in this mode.
    Shared,
}

/// A session outside the pool, so that no other statement runs on it. Its lock is released when it is dropped.
#[derive(Debug)]
pub struct LockSession {
    connection: PgConnection,
    answer_timeout: Duration,
}

/// A lock that a task watches. Released when dropped.
#[derive(Debug)]
pub struct WatchedLock {
    session: Arc<Mutex<LockSession>>,
    lost: CancellationToken,
}

impl LockSession {
    /// The server ends the session of a holder that has sent nothing for this long, and with it the lock. So neither a
    /// stopped process nor a dead connection keeps the lock.
    pub const MAX_SILENCE: Duration = Duration::from_secs(6);

    /// Opens a session, which has no lock yet.
    ///
    /// # Errors
    /// When the server does not answer in time.
    pub async fn open(server: &PostgresServer) -> Result<Self, DatabaseError> {
        Self::open_with(server, Self::MAX_SILENCE, ANSWER_TIMEOUT).await
    }

    /// Opens a session that the server ends after `max_silence`, or never if that is zero.
    pub(crate) async fn open_with(
        server: &PostgresServer,
        max_silence: Duration,
        answer_timeout: Duration,
    ) -> Result<Self, DatabaseError> {
        let mut connection = server.connect().await?;
        let limit = format!("SET idle_session_timeout = {}", max_silence.as_millis());
        in_time(answer_timeout, sqlx::query(&limit).execute(&mut connection)).await?;
        Ok(Self { connection, answer_timeout })
    }

    /// Takes a lock. Returns `false` if other sessions have it.
    ///
    /// # Errors
    /// When the server does not answer in time.
    pub async fn try_take(&mut self, name: LockName, mode: LockMode) -> Result<bool, DatabaseError> {
        let function = match mode {
            LockMode::Exclusive => "pg_try_advisory_lock",
            LockMode::Shared => "pg_try_advisory_lock_shared",
        };
        let number = match name {
            LockName::Number(_) => "$1",
            LockName::Text(_) => "hashtextextended($1, 0)",
        };
        let sql = format!("SELECT {function}({number})");
        let query = sqlx::query_scalar::<Postgres, bool>(&sql);
        let query = match name {
            LockName::Number(number) => query.bind(number),
            LockName::Text(text) => query.bind(text),
        };
        in_time(self.answer_timeout, query.fetch_one(&mut self.connection)).await
    }

    /// Whether the session, and with it a lock that it has taken, is still there.
    pub async fn answers(&mut self) -> bool {
        in_time(self.answer_timeout, self.connection.ping()).await.is_ok()
    }

    /// Keeps the session alive. Returns when it is lost.
    pub async fn lost(&mut self) {
        while self.answers().await {
            sleep(INTERVAL).await;
        }
    }

    /// Keeps the session alive in a task, for holders that do other things.
    pub fn watched(self) -> WatchedLock {
        let session = Arc::new(Mutex::new(self));
        let lost = CancellationToken::new();
        runtime::spawn("watching of a lock", watch(Arc::downgrade(&session), lost.clone()));
        WatchedLock { session, lost }
    }

    /// Ends the session now, so that another one can have the lock at once.
    pub async fn close(self) {
        if let Err(error) = in_time(self.answer_timeout, self.connection.close()).await {
            tracing::debug!(%error, "the session of a lock was lost already");
        }
    }
}

impl WatchedLock {
    /// Returns when the lock is lost.
    pub async fn lost(&self) {
        self.lost.cancelled().await;
    }

    /// Whether the lock is still held. Asks the server.
    pub async fn is_held(&self) -> bool {
        !self.lost.is_cancelled() && self.session.lock().await.answers().await
    }
}

/// Keeps the session alive until it is lost or dropped.
async fn watch(session: Weak<Mutex<LockSession>>, lost: CancellationToken) {
    while let Some(session) = session.upgrade() {
        if !session.lock().await.answers().await {
            lost.cancel();
            return;
        }
        // While it is not used here, the holder drops it.
        drop(session);
        sleep(INTERVAL).await;
    }
}

async fn in_time<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, DatabaseError> {
    let done = timeout(limit, work).await;
    Ok(done.map_err(|_| DatabaseError::Late { limit })??)
}

//! A session for a lock that its holder has only as long as it is alive: the holder asks the server every second, and
//! the server ends a session that is silent for some seconds. So a stopped process keeps no lock, and a holder notices
//! when the server was restarted.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use sqlx::{Connection as _, PgConnection};
use tokio::{
    sync::Mutex,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    DatabaseError, PostgresServer,
    advisory_lock::{LockMode, LockName, try_lock},
};

/// How often the holder checks that it still has the lock.
const INTERVAL: Duration = Duration::from_secs(1);
/// A holder that gets no answer within this time treats the lock as lost.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// A session outside the pool, so that no other statement runs on it. Its lock is released when it is dropped.
#[derive(Debug)]
pub struct LockSession(PgConnection);

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
        let mut connection = server.connect().await?;
        let limit = format!("SET idle_session_timeout = {}", Self::MAX_SILENCE.as_millis());
        in_time(sqlx::query(&limit).execute(&mut connection)).await?;
        Ok(Self(connection))
    }

    /// Takes a lock. Returns `false` if another session has it.
    ///
    /// # Errors
    /// When the server does not answer in time.
    pub async fn try_take(&mut self, name: LockName) -> Result<bool, DatabaseError> {
        in_time(try_lock(&mut self.0, name, LockMode::Exclusive)).await
    }

    /// Whether the session, and with it a lock that it has taken, is still there.
    pub async fn answers(&mut self) -> bool {
        in_time(self.0.ping()).await.is_ok()
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
        runtime::spawn(
            "watching of a lock",
            watch(Arc::downgrade(&session), lost.clone()),
        );
        WatchedLock { session, lost }
    }

    /// Ends the session now, so that another one can have the lock at once.
    pub async fn close(self) {
        if let Err(error) = in_time(self.0.close()).await {
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

async fn in_time<T>(work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, DatabaseError> {
    let limit = ANSWER_TIMEOUT;
    let done = timeout(limit, work).await;
    Ok(done.map_err(|_| DatabaseError::Late { limit })??)
}

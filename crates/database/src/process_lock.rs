//! A lock that a process has as long as it runs, among all that use one PostgreSQL database: alone, or together with
//! others of its kind.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use crate::{DatabaseError, LockMode, LockName, LockSession, PostgresServer, error::is_full};

/// The pause after an attempt that failed.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// A holder that gets no answer within this time treats its session as lost.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the lock must be refused until another process has it. The server needs up to 10 seconds to notice that a
/// client is gone, and until then the lock may belong to the session of a dead process, or to a lost one of our own.
const REFUSED_FOR: Duration = Duration::from_secs(15);
/// The pause between two attempts.
const TRY_INTERVAL: Duration = Duration::from_millis(100);
/// Whoever does not call [`ProcessLock::hold`] lets the session be idle. A limit of the whole server must not end it,
/// since nobody would notice that the lock is gone.
const MAX_SILENCE: Duration = Duration::ZERO;

/// A lock that a process holds until it ends, or until its connection does. Released when dropped.
#[derive(Debug)]
pub struct ProcessLock {
    server: PostgresServer,
    name: &'static str,
    mode: LockMode,
    session: LockSession,
}

impl ProcessLock {
    /// Takes the lock called `name`, unless another process has it in a way that excludes this one. To tell that
    /// process from one that has just died takes 15 seconds.
    ///
    /// # Errors
    /// When the server does not answer. Waits while it accepts no more connections.
    pub async fn take(
        server: &PostgresServer,
        name: &'static str,
        mode: LockMode,
    ) -> Result<Option<Self>, DatabaseError> {
        let session = take(server, name, mode).await?;
        Ok(session.map(|session| Self { server: server.clone(), name, mode, session }))
    }

    /// Keeps the lock, and takes it again when the connection was lost. Returns when another process excludes this one.
    pub async fn hold(self) {
        let Self { server, name, mode, mut session } = self;
        loop {
            session.lost().await;
            // As long as it is open, it may keep the lock from the next one.
            drop(session);
            session = loop {
                match take(&server, name, mode).await {
                    Ok(Some(session)) => break session,
                    Ok(None) => return,
                    // Without the server no process can have it.
                    Err(error) => tracing::debug!(%error, name, "cannot take a lock again yet"),
                }
                sleep(POLL_INTERVAL).await;
            };
        }
    }
}

/// A session that has the lock, or `None` when it was refused for long enough.
async fn take(
    server: &PostgresServer,
    name: &'static str,
    mode: LockMode,
) -> Result<Option<LockSession>, DatabaseError> {
    let mut refused_since: Option<Instant> = None;
    let mut is_complaining = false;
    loop {
        let attempt = timeout(ANSWER_TIMEOUT, try_take(server, name, mode)).await;
        match attempt.unwrap_or(Err(sqlx::Error::PoolTimedOut.into())) {
            Ok(Some(session)) => return Ok(Some(session)),
            Ok(None) => {
                if refused_since.get_or_insert_with(Instant::now).elapsed() >= REFUSED_FOR {
                    return Ok(None);
                }
            }
            Err(DatabaseError::Sql(error)) if is_full(&error) => {
                if !std::mem::replace(&mut is_complaining, true) {
                    tracing::warn!(%error, "PostgreSQL takes no more connections: waiting for one");
                }
                sleep(POLL_INTERVAL).await;
            }
            Err(error) => return Err(error),
        }
        sleep(TRY_INTERVAL).await;
    }
}

async fn try_take(
    server: &PostgresServer,
    name: &'static str,
    mode: LockMode,
) -> Result<Option<LockSession>, DatabaseError> {
    let mut session = LockSession::open_with(server, MAX_SILENCE, ANSWER_TIMEOUT).await?;
    let is_taken = session.try_take(LockName::Text(name), mode).await?;
    Ok(is_taken.then_some(session))
}

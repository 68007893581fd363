//! A lock that a process has as long as it runs, among all that use one PostgreSQL database: alone, or together with
//! others of its kind.

use std::time::Duration;

use sqlx::{Connection as _, Executor as _, PgConnection};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    DatabaseError, PostgresServer,
    advisory_lock::{LockMode, LockName, try_lock},
    error::is_full,
};

/// How often the holder checks that it still has the lock.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// A holder that gets no answer within this time treats its connection as lost.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the lock must be refused until another process has it. The server needs up to 10 seconds to notice that a
/// client is gone, and until then the lock may belong to the session of a dead process, or to a lost one of our own.
const REFUSED_FOR: Duration = Duration::from_secs(15);
/// The pause between two attempts.
const TRY_INTERVAL: Duration = Duration::from_millis(100);
/// Whoever does not call [`ProcessLock::hold`] lets the session be idle. A limit of the whole server must not end it,
/// since nobody would notice that the lock is gone.
const NEVER_IDLE: &str = "SET idle_session_timeout = 0";

/// A lock that a process holds until it ends, or until its connection does. Released when dropped.
#[derive(Debug)]
pub struct ProcessLock {
    server: PostgresServer,
    name: &'static str,
    mode: LockMode,
    connection: PgConnection,
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
        let connection = take(server, name, mode).await?;
        Ok(connection.map(|connection| Self {
            server: server.clone(),
            name,
            mode,
            connection,
        }))
    }

    /// Keeps the lock, and takes it again when the connection was lost. Returns when another process excludes this one.
    pub async fn hold(self) {
        let Self {
            server,
            name,
            mode,
            mut connection,
        } = self;
        loop {
            while let Ok(Ok(())) = timeout(ANSWER_TIMEOUT, connection.ping()).await {
                sleep(POLL_INTERVAL).await;
            }
            // As long as it is open, its session may keep the lock from the next one.
            drop(connection);
            connection = loop {
                match take(&server, name, mode).await {
                    Ok(Some(connection)) => break connection,
                    Ok(None) => return,
                    // Without the server no process can have it.
                    Err(error) => tracing::debug!(%error, name, "cannot take a lock again yet"),
                }
                sleep(POLL_INTERVAL).await;
            };
        }
    }
}

/// The connection of a session that has the lock, or `None` when it was refused for long enough.
async fn take(
    server: &PostgresServer,
    name: &'static str,
    mode: LockMode,
) -> Result<Option<PgConnection>, DatabaseError> {
    let mut refused_since: Option<Instant> = None;
    let mut is_complaining = false;
    loop {
        let attempt = timeout(ANSWER_TIMEOUT, try_take(server, name, mode)).await;
        match attempt.unwrap_or(Err(sqlx::Error::PoolTimedOut)) {
            Ok(Some(connection)) => return Ok(Some(connection)),
            Ok(None) => {
                if refused_since.get_or_insert_with(Instant::now).elapsed() >= REFUSED_FOR {
                    return Ok(None);
                }
            }
            Err(error) if is_full(&error) => {
                if !std::mem::replace(&mut is_complaining, true) {
                    tracing::warn!(%error, "PostgreSQL takes no more connections: waiting for one");
                }
                sleep(POLL_INTERVAL).await;
            }
            Err(error) => return Err(DatabaseError::Sql(error)),
        }
        sleep(TRY_INTERVAL).await;
    }
}

async fn try_take(
    server: &PostgresServer,
    name: &'static str,
    mode: LockMode,
) -> Result<Option<PgConnection>, sqlx::Error> {
    // A connection outside the pool, so that the lock ends with this process and no other statement runs on it.
    let mut connection = server.connect().await?;
    connection.execute(NEVER_IDLE).await?;
    let is_taken = try_lock(&mut connection, LockName::Text(name), mode).await?;
    Ok(is_taken.then_some(connection))
}

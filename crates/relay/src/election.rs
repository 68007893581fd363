//! Who is the one active relay of a store: whoever holds a lock that dies with its holder.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, PoisonError},
    time::Duration,
};

use database::{Database, PostgresServer};
use sqlx::{Connection, PgConnection};
use tokio::sync::{Mutex, OwnedMutexGuard};

/// How often a holder makes sure that it still is, and others ask whether they can be.
const EVERY: Duration = Duration::from_secs(1);
/// A holder that gets no answer for this long takes the lock for lost.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// The server ends the session of a holder that has been silent for this long, and with it the lock: a process that
/// stands still, or a connection that died without a word, keeps nobody out.
const IDLE_SESSION_MS: u32 = 6_000;
/// A try that takes longer is given up.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The lock's name among PostgreSQL's advisory locks of one database: "TLRELAY" in ASCII.
const LOCK: i64 = 0x54_4c52_454c_4159;

/// The candidates of one process on SQLite: the data directory admits no other process.
static IN_PROCESS: LazyLock<std::sync::Mutex<HashMap<String, Arc<Mutex<()>>>>> =
    LazyLock::new(Default::default);

/// A place where one of several candidates is elected.
#[derive(Debug, Clone)]
pub enum Election {
    /// Among all processes that use one PostgreSQL database.
    Postgres(PostgresServer),
    /// Within this process.
    InProcess(Arc<Mutex<()>>),
}

/// The leadership. Given up when dropped.
#[derive(Debug)]
pub(crate) enum Leadership {
    Postgres(PgConnection),
    InProcess { _guard: OwnedMutexGuard<()> },
}

impl Election {
    /// The election among all who use `operations`.
    #[must_use]
    pub fn new(operations: &Database) -> Self {
        match operations.postgres() {
            Some(server) => Self::Postgres(server.clone()),
            None => {
                let mut candidates = IN_PROCESS.lock().unwrap_or_else(PoisonError::into_inner);
                Self::InProcess(Arc::clone(
                    candidates.entry(operations.url().to_owned()).or_default(),
                ))
            }
        }
    }

    /// Waits until elected.
    pub(crate) async fn acquire(&self) -> Leadership {
        match self {
            Self::InProcess(lock) => Leadership::InProcess {
                _guard: Arc::clone(lock).lock_owned().await,
            },
            Self::Postgres(server) => {
                let mut connection = None;
                loop {
                    let stood = tokio::time::timeout(TIMEOUT, campaign(server, connection.take())).await;
                    match stood.unwrap_or(Err(sqlx::Error::PoolTimedOut)) {
                        Ok((connection, true)) => return Leadership::Postgres(connection),
                        Ok((kept, false)) => connection = Some(kept),
                        Err(error) => tracing::debug!(%error, "cannot stand for the relay's election"),
                    }
                    tokio::time::sleep(EVERY.mul_f64(runtime::random_between(0.8, 1.2))).await;
                }
            }
        }
    }
}

/// One try, on a connection of its own that is kept for the next.
async fn campaign(
    server: &PostgresServer,
    connection: Option<PgConnection>,
) -> Result<(PgConnection, bool), sqlx::Error> {
    let mut connection = match connection {
        Some(connection) => connection,
        // Outside the pool, so that nobody else's statement ever runs on it and it is never put back.
        None => {
            let mut connection = server.connect().await?;
            let limit = format!("SET idle_session_timeout = {IDLE_SESSION_MS}");
            sqlx::query(&limit).execute(&mut connection).await?;
            connection
        }
    };
    let elected = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)")
        .bind(LOCK)
        .fetch_one(&mut connection)
        .await?;
    Ok((connection, elected))
}

impl Leadership {
    /// Returns when the leadership is lost: the connection that holds the lock is broken or does not answer.
    pub(crate) async fn lost(&mut self) {
        match self {
            Self::InProcess { .. } => std::future::pending().await,
            Self::Postgres(connection) => loop {
                tokio::time::sleep(EVERY).await;
                match tokio::time::timeout(ANSWER_WITHIN, connection.ping()).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) | Err(_) => return,
                }
            },
        }
    }

    /// Gives the leadership up now, so that another can take it at once.
    pub(crate) async fn release(self) {
        if let Self::Postgres(connection) = self
            && let Ok(Err(error)) = tokio::time::timeout(ANSWER_WITHIN, connection.close()).await
        {
            tracing::debug!(%error, "the relay's lock ends with its broken connection");
        }
    }
}

#[cfg(test)]
mod tests {
    use database::Schema;
    use test_support::TestDatabase;

    use super::*;

    #[tokio::test]
    async fn postgres_a_holder_that_stands_still_loses_the_office_and_one_that_answers_does_not() {
        let server = TestDatabase::create().await;
        let operations = Database::open(server.url().as_str(), Schema::Operations, 2)
            .await
            .unwrap();
        let election = Election::new(&operations);
        let mut leadership = election.acquire().await;
        let longer_than_the_limit = Duration::from_millis(u64::from(IDLE_SESSION_MS) + 2_000);
        assert!(
            tokio::time::timeout(longer_than_the_limit, leadership.lost())
                .await
                .is_err(),
            "a holder that answers was put out of it"
        );
        // From here on the holder does nothing, like a process that is stopped.
        let next = tokio::time::timeout(Duration::from_secs(15), election.acquire())
            .await
            .expect("nobody else gets the leadership");
        tokio::time::timeout(Duration::from_secs(15), leadership.lost())
            .await
            .expect("the old holder does not notice");
        next.release().await;
        operations.close().await;
    }
}

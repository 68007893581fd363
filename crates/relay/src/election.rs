//! Elects the one active relay of a log: it holds a lock that ends with its holder.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
    time::Duration,
};

use database::{Database, DatabaseError, LockMode, LockName, LockSession, PostgresServer};
use tokio::sync::{Mutex, OwnedMutexGuard};

/// How often the others try to get the lock.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long one attempt to get the lock may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The lock's name among PostgreSQL's advisory locks of one database: "TLRELAY" in ASCII.
const LOCK: LockName = LockName::Number(0x54_4c52_454c_4159);

/// The locks of SQLite files by URL. They are in memory, because a data directory belongs to one process.
static IN_PROCESS: LazyLock<parking_lot::Mutex<HashMap<String, Arc<Mutex<()>>>>> =
    LazyLock::new(Default::default);

/// The election of one leader among several candidates.
#[derive(Debug, Clone)]
pub enum Election {
    /// Among all processes that use one PostgreSQL database.
    Postgres(PostgresServer),
    /// Within this process.
    InProcess(Arc<Mutex<()>>),
}

/// The leadership; released when dropped.
#[derive(Debug)]
pub(crate) enum Leadership {
    Postgres(LockSession),
    InProcess { _guard: OwnedMutexGuard<()> },
}

impl Election {
    /// The election among all processes that use `operations`.
    pub fn new(operations: &Database) -> Self {
        match operations.postgres() {
            Some(server) => Self::Postgres(server.clone()),
            None => {
                let mut candidates = IN_PROCESS.lock();
                Self::InProcess(Arc::clone(candidates.entry(operations.url().to_owned()).or_default()))
            }
        }
    }

    /// Waits until elected.
    pub(crate) async fn acquire(&self) -> Leadership {
        match self {
            Self::InProcess(lock) => Leadership::InProcess { _guard: Arc::clone(lock).lock_owned().await },
            Self::Postgres(server) => {
                let mut session = None;
                loop {
                    let attempt = tokio::time::timeout(TIMEOUT, campaign(server, session.take())).await;
                    match attempt.unwrap_or(Err(DatabaseError::Late { limit: TIMEOUT })) {
                        Ok((session, true)) => return Leadership::Postgres(session),
                        Ok((kept, false)) => session = Some(kept),
                        Err(error) => {
                            tracing::debug!(%error, "cannot take part in the election of the relay")
                        }
                    }
                    tokio::time::sleep(INTERVAL.mul_f64(runtime::random_between(0.8, 1.2))).await;
                }
            }
        }
    }
}

/// Tries once to get the lock, and returns the session for the next attempt. Opens one if there is none.
async fn campaign(
    server: &PostgresServer,
    session: Option<LockSession>,
) -> Result<(LockSession, bool), DatabaseError> {
    let mut session = match session {
        Some(session) => session,
        None => LockSession::open(server).await?,
    };
    let elected = session.try_take(LOCK, LockMode::Exclusive).await?;
    Ok((session, elected))
}

impl Leadership {
    /// Returns when the leadership is lost: the session that holds the lock is lost or does not answer.
    pub(crate) async fn lost(&mut self) {
        match self {
            Self::InProcess { .. } => std::future::pending().await,
            Self::Postgres(session) => session.lost().await,
        }
    }

    /// Releases the leadership now, so that another process can have it at once.
    pub(crate) async fn release(self) {
        if let Self::Postgres(session) = self {
            session.close().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use database::Schema;
    use test_support::TestDatabase;

    use super::*;

    #[tokio::test]
    async fn postgres_a_stopped_holder_loses_the_leadership_and_one_that_answers_does_not() {
        let server = TestDatabase::create().await;
        let operations = Database::open(server.url().as_str(), Schema::Operations, 2).await.unwrap();
        let election = Election::new(&operations);
        let longer_than_the_limit = LockSession::MAX_SILENCE + Duration::from_secs(2);
        let mut kept = None;
        // A busy machine may be too slow for one of the answers, but not each time.
        for _ in 0..3 {
            let mut leadership = election.acquire().await;
            let losing = tokio::time::timeout(longer_than_the_limit, leadership.lost());
            if losing.await.is_err() {
                kept = Some(leadership);
                break;
            }
        }
        let mut leadership = kept.expect("a holder that answers has lost the leadership");
        // From here on the holder does nothing, like a stopped process.
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

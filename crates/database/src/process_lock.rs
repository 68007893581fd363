//! A lock that only one process has at a time, among all that use one PostgreSQL database.

use std::time::Duration;

use sqlx::{Connection as _, PgConnection};
use tokio::time::{sleep, timeout};

use crate::{DatabaseError, PostgresServer};

/// How often the holder checks that it still has the lock.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A holder that gets no answer within this time treats its connection as lost.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// A lock that a process holds until it ends, or until its connection does. Released when dropped.
#[derive(Debug)]
pub struct ProcessLock {
    server: PostgresServer,
    name: &'static str,
    connection: PgConnection,
}

impl ProcessLock {
    /// Takes the lock called `name`, unless another process has it.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn take(server: &PostgresServer, name: &'static str) -> Result<Option<Self>, DatabaseError> {
        // A connection outside the pool, so that the lock ends with this process and no other statement runs on it.
        let taking = timeout(ANSWER_WITHIN, async {
            let mut connection = server.connect().await?;
            let free: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock(hashtextextended($1, 0))")
                .bind(name)
                .fetch_one(&mut connection)
                .await?;
            Ok((connection, free))
        });
        let (connection, free) = taking
            .await
            .unwrap_or(Err(sqlx::Error::PoolTimedOut))
            .map_err(DatabaseError::Sql)?;
        Ok(free.then(|| Self {
            server: server.clone(),
            name,
            connection,
        }))
    }

    /// Keeps the lock, and takes it again when the connection was lost. Returns when another process has it.
    pub async fn hold(mut self) {
        loop {
            sleep(LOOK_EVERY).await;
            if matches!(timeout(ANSWER_WITHIN, self.connection.ping()).await, Ok(Ok(()))) {
                continue;
            }
            match Self::take(&self.server, self.name).await {
                Ok(Some(again)) => self = again,
                Ok(None) => return,
                // Without the server no process can have it.
                Err(error) => tracing::debug!(%error, name = self.name, "cannot take a right again yet"),
            }
        }
    }
}

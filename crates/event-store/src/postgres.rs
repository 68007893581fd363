//! The log in PostgreSQL. Reads go through the pool, appends through one connection ([`writer`]), and news of
//! other processes' appends come by `NOTIFY`.

mod writer;

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_trait::async_trait;
use database::Database;
use events::{NewEvent, RecordedEvent, StreamName};
use futures::stream::BoxStream;
use sqlx::{PgPool, Row, postgres::PgRow};
use tokio::{sync::watch, task::AbortHandle};

use crate::{
    Appended, EventStore, OpenError, StoreError,
    appender::{Appender, raise},
    record::{columns, limit, recorded, signed, unsigned},
    subscription::{self, Source},
};

/// Where `append_events()` announces the position of the last event.
const CHANNEL: &str = "taskledger_events";

/// The event store in PostgreSQL.
#[derive(Debug)]
pub struct PostgresStore {
    appender: Appender,
    log: Arc<Log>,
}

/// What subscriptions share with the store, and keep when it is dropped.
#[derive(Debug)]
struct Log {
    database: Database,
    pool: PgPool,
    /// The last position as far as known here; it may lag.
    head: Arc<watch::Sender<u64>>,
    listener: OnceLock<AbortHandle>,
}

impl PostgresStore {
    /// The store in a database opened with [`database::Schema::EventStore`]. Starts the append task, so a
    /// Tokio runtime must be there. Appends take a connection of their own, beside the pool's.
    ///
    /// # Errors
    /// When the database is not PostgreSQL.
    pub fn new(database: Database) -> Result<Self, OpenError> {
        let pool = database.postgres().cloned().ok_or_else(|| OpenError::Backend {
            url: database.url().to_owned(),
            expected: "PostgreSQL",
        })?;
        let head = Arc::new(watch::Sender::new(0));
        let appender = Appender::start(writer::PostgresWriter::new(&pool), Arc::clone(&head));
        let log = Arc::new(Log {
            database,
            pool,
            head,
            listener: OnceLock::new(),
        });
        Ok(Self { appender, log })
    }
}

#[async_trait]
impl EventStore for PostgresStore {
    async fn append(
        &self,
        stream: &StreamName,
        expected_version: u64,
        events: Vec<NewEvent>,
    ) -> Result<Appended, StoreError> {
        self.appender.append(stream, expected_version, events).await
    }

    async fn read_stream(
        &self,
        stream: &StreamName,
        after_version: u64,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, StoreError> {
        const SQL: &str = concat!(
            "SELECT ",
            columns!(),
            " FROM events WHERE stream = $1 AND version > $2 ORDER BY version LIMIT $3"
        );
        let query = sqlx::query(SQL)
            .bind(stream.as_str())
            .bind(signed(after_version))
            .bind(self::limit(limit));
        events(query.fetch_all(&self.log.pool).await)
    }

    async fn read_all(&self, after: u64, limit: usize) -> Result<Vec<RecordedEvent>, StoreError> {
        self.log.read_all(after, limit).await
    }

    async fn head(&self) -> Result<u64, StoreError> {
        self.log.head().await
    }

    fn subscribe(&self, after: u64) -> BoxStream<'static, Vec<RecordedEvent>> {
        self.log.listen();
        subscription::subscribe(Arc::clone(&self.log), self.log.head.subscribe(), after)
    }
}

impl Log {
    async fn head(&self) -> Result<u64, StoreError> {
        const SQL: &str = "SELECT coalesce(max(position), 0) FROM events";
        let head: i64 = sqlx::query_scalar(SQL)
            .fetch_one(&self.pool)
            .await
            .map_err(StoreError::unavailable)?;
        unsigned(head, "the last position")
    }

    /// Starts to listen for other processes' appends, once.
    fn listen(self: &Arc<Self>) {
        self.listener.get_or_init(|| {
            let mut signals = self.database.signals(CHANNEL);
            let log = Arc::downgrade(self);
            let task = tokio::spawn(async move {
                loop {
                    let signal = signals.next().await;
                    let Some(log) = log.upgrade() else { return };
                    let position = match signal {
                        Some(payload) => payload.parse().ok(),
                        // Some may have been lost. Subscribers look by themselves if this fails, too.
                        None => log.head().await.ok(),
                    };
                    raise(&log.head, position);
                }
            });
            task.abort_handle()
        });
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        if let Some(listener) = self.listener.get() {
            listener.abort();
        }
    }
}

impl Source for Log {
    const SAFETY_POLL: Duration = Duration::from_secs(1);

    /// One snapshot, and commits in the order of positions: nothing below what is seen here is still to come.
    async fn read_all(&self, after: u64, limit: usize) -> Result<Vec<RecordedEvent>, StoreError> {
        const SQL: &str = concat!(
            "SELECT ",
            columns!(),
            " FROM events WHERE position > $1 ORDER BY position LIMIT $2"
        );
        let query = sqlx::query(SQL).bind(signed(after)).bind(self::limit(limit));
        events(query.fetch_all(&self.pool).await)
    }
}

fn events(rows: Result<Vec<PgRow>, sqlx::Error>) -> Result<Vec<RecordedEvent>, StoreError> {
    let rows = rows.map_err(StoreError::unavailable)?;
    rows.iter()
        .map(|row| recorded(row, |row| row.try_get(4)))
        .collect()
}

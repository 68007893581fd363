//! The log in a SQLite file. Reads go through the readers' pool, appends through the writer's ([`writer`]).

mod writer;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use database::Database;
use events::{NewEvent, RecordedEvent, StreamName};
use futures::stream::BoxStream;
use sqlx::{Row, SqlitePool, sqlite::SqliteRow};
use tokio::sync::watch;
use uuid::fmt::Hyphenated;

use crate::{
    Appended, EventStore, OpenError, StoreError,
    appender::Appender,
    record::{columns, limit, recorded, signed, unsigned},
    subscription::{self, Source},
};

/// The event store in a SQLite file.
#[derive(Debug)]
pub struct SqliteStore {
    appender: Appender,
    log: Arc<Log>,
    /// The last position that was appended here.
    head: Arc<watch::Sender<u64>>,
}

/// What subscriptions share with the store, and keep when it is dropped.
#[derive(Debug)]
struct Log {
    readers: SqlitePool,
}

impl SqliteStore {
    /// The store in a database opened with [`database::Schema::EventStore`]. Starts the append task, so a
    /// Tokio runtime must be there.
    ///
    /// # Errors
    /// When the database is not SQLite.
    pub fn new(database: Database) -> Result<Self, OpenError> {
        let (Some(writer), Some(readers)) = (database.sqlite_writer(), database.sqlite_readers()) else {
            return Err(OpenError::Backend {
                url: database.url().to_owned(),
                expected: "SQLite",
            });
        };
        let head = Arc::new(watch::Sender::new(0));
        let appender = Appender::start(writer::SqliteWriter::new(writer.clone()), Arc::clone(&head));
        Ok(Self {
            appender,
            log: Arc::new(Log {
                readers: readers.clone(),
            }),
            head,
        })
    }
}

#[async_trait]
impl EventStore for SqliteStore {
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
        events(query.fetch_all(&self.log.readers).await)
    }

    async fn read_all(&self, after: u64, limit: usize) -> Result<Vec<RecordedEvent>, StoreError> {
        self.log.read_all(after, limit).await
    }

    async fn head(&self) -> Result<u64, StoreError> {
        const SQL: &str = "SELECT coalesce(max(position), 0) FROM events";
        let head = sqlx::query_scalar(SQL)
            .fetch_one(&self.log.readers)
            .await
            .map_err(StoreError::unavailable)?;
        unsigned(head, "the last position")
    }

    fn subscribe(&self, after: u64) -> BoxStream<'static, Vec<RecordedEvent>> {
        subscription::subscribe(Arc::clone(&self.log), self.head.subscribe(), after)
    }
}

impl Source for Log {
    /// The only way to learn of another process's appends; finding nothing costs one look at a page in memory.
    const SAFETY_POLL: Duration = Duration::from_millis(100);

    async fn read_all(&self, after: u64, limit: usize) -> Result<Vec<RecordedEvent>, StoreError> {
        const SQL: &str = concat!(
            "SELECT ",
            columns!(),
            " FROM events WHERE position > $1 ORDER BY position LIMIT $2"
        );
        let query = sqlx::query(SQL).bind(signed(after)).bind(self::limit(limit));
        events(query.fetch_all(&self.readers).await)
    }
}

fn events(rows: Result<Vec<SqliteRow>, sqlx::Error>) -> Result<Vec<RecordedEvent>, StoreError> {
    let rows = rows.map_err(StoreError::unavailable)?;
    let id = |row: &SqliteRow| row.try_get::<Hyphenated, _>(4).map(Hyphenated::into_uuid);
    rows.iter().map(|row| recorded(row, id)).collect()
}

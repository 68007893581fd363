//! The log in PostgreSQL or in a SQLite file. Reads use the connection pool, appends the append task with a writer
//! for each database.

mod channel;
mod dropping;
mod import;
mod log;
mod postgres;
mod record;
mod sqlite;
mod subscription;

use std::sync::Arc;

use async_trait::async_trait;
use database::Database;
use events::{EventDigest, EventId, LogPoint, NewEvent, StoredEvent, StreamName};
use futures::stream::BoxStream;
use tokio::sync::watch;

use self::{
    log::{Log, page},
    record::{columns, corrupt, recorded, signed, size, stored},
};
use crate::{
    Appended, DropError, Entry, EventStore, ImportError, PAGE_BYTES, Page, StoreError, StoredPage,
    StreamHead, UnfinishedImport,
    appender::{Appender, raise},
    import::check_import,
};

/// The event store in a SQL database.
#[derive(Debug)]
pub struct SqlStore {
    appender: Appender,
    log: Arc<Log>,
}

impl SqlStore {
    /// Creates the store in a database opened with [`database::Schema::EventStore`]. Starts the append task, so it
    /// needs a Tokio runtime. On PostgreSQL appends use one more connection, outside the pool.
    pub fn new(database: Database) -> Self {
        let head = Arc::new(watch::Sender::new(0));
        let appender = match database.postgres() {
            Some(server) => {
                let writer = postgres::PostgresWriter::new(server.clone(), database.clone());
                Appender::start(writer, Arc::clone(&head))
            }
            None => Appender::start(sqlite::SqliteWriter::new(database.clone()), Arc::clone(&head)),
        };
        let log = Arc::new(Log::new(database, head));
        Self { appender, log }
    }
}

#[async_trait]
impl EventStore for SqlStore {
    async fn append(
        &self,
        stream: &StreamName,
        expected_version: u64,
        events: Vec<NewEvent>,
    ) -> Result<Appended, StoreError> {
        self.appender.append(stream, expected_version, events).await
    }

    async fn import(&self, after: LogPoint, events: &[StoredEvent]) -> Result<LogPoint, ImportError> {
        let end = import::import(&self.log.database, after, events).await?;
        raise(&self.log.head, Some(end.position));
        Ok(end)
    }

    async fn drop_payloads(&self, events: &[EventDigest]) -> Result<u64, DropError> {
        dropping::drop_payloads(&self.log.database, events).await
    }

    fn check_import(&self, event: &StoredEvent) -> Result<(), ImportError> {
        check_import(event)
    }

    async fn note_import(&self, unfinished: Option<&UnfinishedImport>) -> Result<(), StoreError> {
        import::note(&self.log.database, unfinished).await.map_err(StoreError::unavailable)
    }

    async fn unfinished_import(&self) -> Result<Option<UnfinishedImport>, StoreError> {
        import::unfinished(&self.log.database).await.map_err(StoreError::unavailable)
    }

    async fn stream_head(&self, stream: &StreamName) -> Result<Option<StreamHead>, StoreError> {
        const SQL: &str =
            "SELECT version, position, id FROM events WHERE stream = $1 ORDER BY version DESC LIMIT 1";
        let row = self.log.database.fetch_optional(SQL, &[stream.as_str().into()]).await;
        row.map_err(StoreError::unavailable)?
            .map(|row| {
                Ok(StreamHead {
                    version: row.unsigned(0).map_err(corrupt)?,
                    position: row.unsigned(1).map_err(corrupt)?,
                    // An unreadable id is the id of some event, but not of one that was remembered.
                    id: EventId(row.uuid(2).unwrap_or_default()),
                })
            })
            .transpose()
    }

    async fn stream_page(
        &self,
        stream: &StreamName,
        after_version: u64,
        limit: usize,
    ) -> Result<Page, StoreError> {
        const SQL: &str = concat!(
            "SELECT ",
            columns!(),
            " FROM events WHERE stream = $1 AND version > $2 AND version <= (
                SELECT max(version) FROM (
                    SELECT version, sum(",
            size!(),
            ") OVER (ORDER BY version) - ",
            size!(),
            " AS before FROM events WHERE stream = $1 AND version > $2 ORDER BY version LIMIT $3
                ) AS sized WHERE before < $4
            ) ORDER BY version"
        );
        let values = [
            stream.as_str().into(),
            signed(after_version).into(),
            signed(limit).into(),
            signed(PAGE_BYTES).into(),
        ];
        let rows = self.log.database.fetch_all(SQL, &values).await;
        let (entries, more) = page(rows, limit, recorded)?;
        Ok(Page { entries, more })
    }

    async fn log_page(&self, after: u64, limit: usize) -> Result<Page, StoreError> {
        self.log.log_page(after, limit).await
    }

    async fn stored_page(&self, after: i64, limit: usize) -> Result<StoredPage, StoreError> {
        let rows = self.log.rows(after, limit).await;
        let (events, more) = page(rows, limit, stored)?;
        Ok(StoredPage { events, more })
    }

    async fn record_at(&self, position: u64) -> Result<Option<Entry>, StoreError> {
        let row = self.log.row_at(position).await?;
        row.as_ref().map(recorded).transpose()
    }

    async fn stored_at(&self, position: u64) -> Result<Option<StoredEvent>, StoreError> {
        let row = self.log.row_at(position).await?;
        row.as_ref().map(stored).transpose()
    }

    async fn head(&self) -> Result<u64, StoreError> {
        self.log.head().await
    }

    async fn can_append(&self) -> Result<(), StoreError> {
        self.appender.check_running()?;
        self.log.database.can_write_to("events").await.map_err(StoreError::unavailable)
    }

    async fn identify(&self, positions: &[u64]) -> Result<Vec<Option<EventId>>, StoreError> {
        self.log.identify(positions).await
    }

    fn positions_are_dense(&self) -> bool {
        true
    }

    fn subscribe(&self, after: u64) -> BoxStream<'static, Page> {
        if self.log.database.is_postgres() {
            self.log.listen();
        }
        subscription::subscribe(Arc::clone(&self.log), after)
    }
}

#[cfg(test)]
mod tests;

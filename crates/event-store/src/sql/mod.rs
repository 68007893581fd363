//! The log in PostgreSQL or in a SQLite file. Reads use the connection pool, appends the append task with a writer
//! for each database.

mod channel;
mod dropping;
mod import;
mod postgres;
mod record;
mod sqlite;

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_trait::async_trait;
use database::{Database, DatabaseError, Dialect, Row, StatementTimeout, list_parameter};
use events::{EventDigest, EventId, LogPoint, NewEvent, StoredEvent, StreamName};
use futures::stream::BoxStream;
use tokio::{sync::watch, task::AbortHandle};

use self::{
    channel::CHANNEL,
    record::{bytes_of, columns, corrupt, recorded, signed, size, stored},
};
use crate::{
    Appended, DropError, Entry, EventStore, ImportError, PAGE_BYTES, Page, StoreError, StoredPage,
    StreamHead, UnfinishedImport,
    appender::{Appender, raise},
    import::check_import,
    subscription::{self, Source},
};

/// How often subscriptions read PostgreSQL without a notification, in case one was lost.
const SAFETY_POLL_POSTGRES: Duration = Duration::from_secs(1);
/// How often subscriptions read SQLite, which is the only way to notice appends of another process. If there is none
/// this costs one read of a page in memory.
const SAFETY_POLL_SQLITE: Duration = Duration::from_millis(100);

/// The event store in a SQL database.
#[derive(Debug)]
pub struct SqlStore {
    appender: Appender,
    log: Arc<Log>,
}

/// The parts that subscriptions share with the store, and keep when it is dropped.
#[derive(Debug)]
struct Log {
    database: Database,
    /// The last known position; it may be behind.
    head: Arc<watch::Sender<u64>>,
    listener: OnceLock<AbortHandle>,
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
        let log = Arc::new(Log {
            database,
            head,
            listener: OnceLock::new(),
        });
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
        import::note(&self.log.database, unfinished)
            .await
            .map_err(StoreError::unavailable)
    }

    async fn unfinished_import(&self) -> Result<Option<UnfinishedImport>, StoreError> {
        import::unfinished(&self.log.database)
            .await
            .map_err(StoreError::unavailable)
    }

    async fn stream_head(&self, stream: &StreamName) -> Result<Option<StreamHead>, StoreError> {
        const SQL: &str =
            "SELECT version, position, id FROM events WHERE stream = $1 ORDER BY version DESC LIMIT 1";
        let row = self
            .log
            .database
            .fetch_optional(SQL, &[stream.as_str().into()])
            .await;
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
        page(self.log.database.fetch_all(SQL, &values).await, limit)
    }

    async fn log_page(&self, after: u64, limit: usize) -> Result<Page, StoreError> {
        self.log.log_page(after, limit).await
    }

    async fn stored_page(&self, after: i64, limit: usize) -> Result<StoredPage, StoreError> {
        let (mut events, mut bytes) = (Vec::new(), 0);
        for row in self
            .log
            .rows(after, limit)
            .await
            .map_err(StoreError::unavailable)?
        {
            bytes += bytes_of(&row);
            events.push(stored(&row)?);
        }
        Ok(StoredPage {
            more: events.len() >= limit || bytes >= PAGE_BYTES,
            events,
        })
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
        self.log
            .database
            .can_write_to("events")
            .await
            .map_err(StoreError::unavailable)
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
        subscription::subscribe(Arc::clone(&self.log), self.log.head.subscribe(), after)
    }
}

impl Log {
    async fn head(&self) -> Result<u64, StoreError> {
        const SQL: &str = "SELECT coalesce(max(position), 0) AS head FROM events";
        let row = self.database.fetch_optional(SQL, &[]).await;
        let row = row.map_err(StoreError::unavailable)?;
        row.map_or(Ok(0), |row| row.unsigned(0).map_err(corrupt))
    }

    async fn row_at(&self, position: u64) -> Result<Option<Row>, StoreError> {
        const SQL: &str = concat!("SELECT ", columns!(), " FROM events WHERE position = $1");
        let row = self
            .database
            .fetch_optional(SQL, &[signed(position).into()])
            .await;
        row.map_err(StoreError::unavailable)
    }

    async fn identify(&self, positions: &[u64]) -> Result<Vec<Option<EventId>>, StoreError> {
        let sql = format!(
            "SELECT position, id FROM events WHERE {}",
            Dialect::of(&self.database).one_of("position", "bigint", 1)
        );
        let list = list_parameter(positions.iter().map(|position| signed(*position)));
        let rows = self.database.fetch_all(&sql, &[list]).await;
        let found = rows
            .map_err(StoreError::unavailable)?
            .iter()
            // An unreadable id is the id of some event, but not of one that was remembered.
            .map(|row| Ok((row.unsigned(0)?, EventId(row.uuid(1).unwrap_or_default()))))
            .collect::<Result<HashMap<u64, EventId>, _>>()
            .map_err(corrupt)?;
        Ok(positions
            .iter()
            .map(|position| found.get(position).copied())
            .collect())
    }

    /// Starts to listen for appends of other processes, once.
    fn listen(self: &Arc<Self>) {
        self.listener.get_or_init(|| {
            let mut signals = self.database.signals(CHANNEL);
            let log = Arc::downgrade(self);
            let task = runtime::spawn("appends of other processes", async move {
                loop {
                    let signal = signals.next().await;
                    let Some(log) = log.upgrade() else { return };
                    let position = match signal {
                        Some(payload) => payload.parse().ok(),
                        // Some signals may have been lost. If this fails too, subscribers still read regularly.
                        None => log.head().await.ok(),
                    };
                    raise(&log.head, position);
                }
            });
            task.abort_handle()
        });
    }
}

fn page(rows: Result<Vec<Row>, DatabaseError>, limit: usize) -> Result<Page, StoreError> {
    let (mut entries, mut bytes) = (Vec::new(), 0);
    for row in rows.map_err(StoreError::unavailable)? {
        bytes += bytes_of(&row);
        entries.push(recorded(&row)?);
    }
    Ok(Page {
        more: entries.len() >= limit || bytes >= PAGE_BYTES,
        entries,
    })
}

impl Drop for Log {
    fn drop(&mut self) {
        if let Some(listener) = self.listener.get() {
            listener.abort();
        }
    }
}

impl Source for Log {
    fn safety_poll(&self) -> Duration {
        if self.database.is_postgres() {
            SAFETY_POLL_POSTGRES
        } else {
            SAFETY_POLL_SQLITE
        }
    }

    async fn log_page(&self, after: u64, limit: usize) -> Result<Page, StoreError> {
        page(self.rows(signed(after), limit).await, limit)
    }
}

impl Log {
    /// Reads one snapshot. Appends commit in the order of positions, so no lower position appears later.
    async fn rows(&self, after: i64, limit: usize) -> Result<Vec<Row>, DatabaseError> {
        const SQL: &str = concat!(
            "SELECT ",
            columns!(),
            " FROM events WHERE position > $1 AND position <= (
                SELECT max(position) FROM (
                    SELECT position, sum(",
            size!(),
            ") OVER (ORDER BY position) - ",
            size!(),
            " AS before FROM events WHERE position > $1 ORDER BY position LIMIT $2
                ) AS sized WHERE before < $3
            ) ORDER BY position"
        );
        let values = [after.into(), signed(limit).into(), signed(PAGE_BYTES).into()];
        match self.database.fetch_all(SQL, &values).await {
            // Most pages are short, and announcing a longer time limit to PostgreSQL costs a round trip.
            Err(error) if error.is_late() => {
                let patient = self.database.with_statement_timeout(StatementTimeout::Page);
                patient.fetch_all(SQL, &values).await
            }
            rows => rows,
        }
    }
}

#[cfg(test)]
mod tests;

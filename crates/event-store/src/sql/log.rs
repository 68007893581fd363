//! The log in the database, as the store and its subscriptions read it.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use database::{Database, DatabaseError, Dialect, Row, StatementTimeout, list_parameter};
use events::EventId;
use tokio::{sync::watch, task::AbortHandle};

use super::{
    channel::CHANNEL,
    record::{bytes_of, columns, corrupt, recorded, signed, size},
};
use crate::{PAGE_BYTES, Page, StoreError, appender::raise};

/// How often subscriptions read PostgreSQL without a notification, in case one was lost.
const SAFETY_POLL_POSTGRES: Duration = Duration::from_secs(1);
/// How often subscriptions read SQLite, which is the only way to notice appends of another process. If there is none
/// this costs one read of a page in memory.
const SAFETY_POLL_SQLITE: Duration = Duration::from_millis(100);

/// The parts that subscriptions share with the store, and keep when it is dropped.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) database: Database,
    /// The last known position; it may be behind.
    pub(super) head: Arc<watch::Sender<u64>>,
    listener: OnceLock<AbortHandle>,
}

impl Log {
    pub(super) fn new(database: Database, head: Arc<watch::Sender<u64>>) -> Self {
        Self { database, head, listener: OnceLock::new() }
    }

    pub(super) async fn head(&self) -> Result<u64, StoreError> {
        const SQL: &str = "SELECT coalesce(max(position), 0) AS head FROM events";
        let row = self.database.fetch_optional(SQL, &[]).await;
        let row = row.map_err(StoreError::unavailable)?;
        row.map_or(Ok(0), |row| row.unsigned(0).map_err(corrupt))
    }

    pub(super) async fn row_at(&self, position: u64) -> Result<Option<Row>, StoreError> {
        const SQL: &str = concat!("SELECT ", columns!(), " FROM events WHERE position = $1");
        let row = self.database.fetch_optional(SQL, &[signed(position).into()]).await;
        row.map_err(StoreError::unavailable)
    }

    pub(super) async fn identify(&self, positions: &[u64]) -> Result<Vec<Option<EventId>>, StoreError> {
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
        Ok(positions.iter().map(|position| found.get(position).copied()).collect())
    }

    /// Starts to listen for appends of other processes, once.
    pub(super) fn listen(self: &Arc<Self>) {
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

    /// How long a subscriber waits before it reads without a notification.
    pub(super) fn safety_poll(&self) -> Duration {
        if self.database.is_postgres() { SAFETY_POLL_POSTGRES } else { SAFETY_POLL_SQLITE }
    }

    pub(super) async fn log_page(&self, after: u64, limit: usize) -> Result<Page, StoreError> {
        let (entries, more) = page(self.rows(signed(after), limit).await, limit, recorded)?;
        Ok(Page { entries, more })
    }

    /// Reads one snapshot. Appends commit in the order of positions, so no lower position appears later.
    pub(super) async fn rows(&self, after: i64, limit: usize) -> Result<Vec<Row>, DatabaseError> {
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

impl Drop for Log {
    fn drop(&mut self) {
        if let Some(listener) = self.listener.get() {
            listener.abort();
        }
    }
}

/// The records of a page, decoded by `read`, and whether there may be more.
pub(super) fn page<T>(
    rows: Result<Vec<Row>, DatabaseError>,
    limit: usize,
    read: impl Fn(&Row) -> Result<T, StoreError>,
) -> Result<(Vec<T>, bool), StoreError> {
    let rows = rows.map_err(StoreError::unavailable)?;
    let bytes: usize = rows.iter().map(bytes_of).sum();
    let more = rows.len() >= limit || bytes >= PAGE_BYTES;
    let records: Result<Vec<T>, StoreError> = rows.iter().map(read).collect();
    Ok((records?, more))
}

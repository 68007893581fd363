//! Commits a batch to SQLite: takes the write lock, reads the versions of the streams, then inserts the rows.

use std::time::Duration;

use database::{Database, DatabaseError};
use sqlx::{SqliteConnection, query::Query, sqlite::SqliteArguments};
use tokio::time::timeout;

use crate::{
    Appended, StoreError,
    append::{Append, Outcome, PreparedEvent},
    appender::{BatchError, Writer, slots},
    sql::record::{appended_columns, signed, unsigned},
};

/// Takes the write lock, then reads the last position and the version of each stream. `$1` is a JSON array of
/// streams, and the result is a JSON array of versions in one row.
const BEGIN: &str = "BEGIN IMMEDIATE; \
    SELECT coalesce((SELECT max(position) FROM events), 0), (SELECT json_group_array(coalesce( \
        (SELECT version FROM events WHERE stream = name.value ORDER BY version DESC LIMIT 1), 0 \
    )) FROM json_each($1) AS name)";

/// The numbers of rows per statement. There are few, so that all statements stay prepared, and large ones, because
/// each statement is passed to the connection's thread and back.
const CHUNKS: [usize; 4] = [64, 16, 4, 1];

/// The time limit of a commit. After it the batch may or may not have been written.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(15);

#[derive(Debug)]
pub(crate) struct SqliteWriter {
    database: Database,
    inserts: [String; CHUNKS.len()],
}

impl SqliteWriter {
    pub(crate) fn new(database: Database) -> Self {
        Self { database, inserts: CHUNKS.map(insert) }
    }

    async fn append(
        &self,
        connection: &mut SqliteConnection,
        batch: &[Append],
    ) -> Result<Result<Vec<Outcome>, StoreError>, DatabaseError> {
        let (head, versions) = begin(connection, batch).await?;
        let decided = decide(batch, head, &versions);
        if let Ok((_, rows)) = &decided {
            self.insert(connection, rows).await?;
        }
        sqlx::query("COMMIT").execute(connection).await?;
        Ok(decided.map(|(outcomes, _)| outcomes))
    }

    async fn insert(
        &self,
        connection: &mut SqliteConnection,
        mut rows: &[NewRow<'_>],
    ) -> Result<(), sqlx::Error> {
        for (chunk, sql) in CHUNKS.into_iter().zip(&self.inserts) {
            while rows.len() >= chunk {
                let (now, later) = rows.split_at(chunk);
                let query = sqlx::query(sql.as_str());
                now.iter().fold(query, NewRow::bind).execute(&mut *connection).await?;
                rows = later;
            }
        }
        Ok(())
    }
}

impl Writer for SqliteWriter {
    async fn commit(&mut self, batch: &[Append]) -> Result<Vec<Outcome>, BatchError> {
        self.database.is_in_place().map_err(BatchError::unavailable)?;
        // Closed unless it is given back: some errors end the transaction and some do not, and a panic leaves it
        // open.
        let loan = self.database.writer().await;
        let mut loan = loan.map_err(BatchError::unavailable)?;
        let connection = loan.sqlite().ok_or_else(|| BatchError::unavailable("this is no SQLite"))?;
        match timeout(COMMIT_TIMEOUT, self.append(connection, batch)).await {
            Ok(Ok(outcomes)) => {
                loan.give_back();
                outcomes.map_err(BatchError::Unavailable)
            }
            // The transaction is not committed.
            Ok(Err(error)) if error.refuses_data() => {
                Err(BatchError::Refused(StoreError::unavailable(error)))
            }
            Ok(Err(error)) => Err(BatchError::unavailable(error)),
            Err(_) => Err(BatchError::unavailable("SQLite did not commit in time")),
        }
    }

    async fn close(self) {}
}

/// An event with its place in the log.
struct NewRow<'a> {
    position: u64,
    version: u64,
    append: &'a Append,
    event: &'a PreparedEvent,
}

impl NewRow<'_> {
    fn bind<'q>(
        query: Query<'q, sqlx::Sqlite, SqliteArguments<'q>>,
        row: &Self,
    ) -> Query<'q, sqlx::Sqlite, SqliteArguments<'q>> {
        let event = &row.event.event;
        query
            .bind(signed(row.position))
            .bind(signed(row.version))
            .bind(event.recorded_at.as_micros())
            .bind(i64::from(event.schema_version))
            .bind(event.id.0.hyphenated())
            .bind(row.append.stream.as_str().to_owned())
            .bind(event.kind.clone())
            .bind(event.encoding.as_str())
            .bind(row.event.metadata.clone())
            .bind(event.data.to_vec())
    }
}

fn insert(rows: usize) -> String {
    let values = ["(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"].repeat(rows).join(", ");
    format!(concat!("INSERT INTO events (", appended_columns!(), ") VALUES {}"), values)
}

/// The last position, and the version of each append's stream.
async fn begin(connection: &mut SqliteConnection, batch: &[Append]) -> Result<(i64, Vec<u64>), sqlx::Error> {
    let streams: Vec<&str> = batch.iter().map(|append| append.stream.as_str()).collect();
    let streams = serde_json::to_string(&streams).map_err(|error| sqlx::Error::Encode(error.into()))?;
    let mut rows: Vec<(i64, String)> = sqlx::query_as(BEGIN).bind(streams).fetch_all(connection).await?;
    let (head, versions) = rows.pop().ok_or(sqlx::Error::RowNotFound)?;
    let versions: Vec<u64> =
        serde_json::from_str(&versions).map_err(|error| sqlx::Error::Decode(error.into()))?;
    if versions.len() == batch.len() {
        Ok((head, versions))
    } else {
        Err(sqlx::Error::Protocol(format!("{} versions of {} streams", versions.len(), batch.len())))
    }
}

/// Checks the appends in order, and numbers the events of those that are accepted.
fn decide<'a>(
    batch: &'a [Append],
    head: i64,
    versions: &[u64],
) -> Result<(Vec<Outcome>, Vec<NewRow<'a>>), StoreError> {
    let mut position: u64 = unsigned(head, "the last position")?;
    let mut current = versions.to_vec();
    let mut rows = Vec::with_capacity(batch.len());
    let outcomes = batch.iter().zip(slots(batch)).map(|(append, slot)| {
        let version = &mut current[slot];
        if *version != append.expected_version {
            return Outcome::Conflict { actual: *version };
        }
        for event in &append.events {
            position += 1;
            *version += 1;
            rows.push(NewRow { position, version: *version, append, event });
        }
        Outcome::Appended(Appended { version: *version, position })
    });
    Ok((outcomes.collect(), rows))
}

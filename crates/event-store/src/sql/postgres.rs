//! Commits a batch to PostgreSQL with one call of `append_events()`, or a single event with one statement or a call of
//! `append_event()`, on a connection of its own.
//!
//! The single statement is the whole transaction, so no lock is ever held while the server waits
//! for this process: not if it is slow, and not if it is stopped.

use std::time::{Duration, Instant};

use database::{Database, DatabaseError, PostgresServer};
use sqlx::{Connection, Executor, PgConnection, Postgres, Row, postgres::PgArguments, query::QueryAs};
use tokio::time::timeout;

use crate::{
    Appended, StoreError,
    append::{Append, Outcome, PreparedEvent},
    appender::{BatchError, Writer, slots},
    sql::{
        channel::CHANNEL,
        record::{signed, unsigned},
    },
};

/// Appends one event without a function, if nobody else appends at the same time and the stream is at the expected
/// version; otherwise nothing. What was committed after the statement's snapshot has the position that this event would
/// get, so that the statement conflicts with it, whatever else the snapshot lacks (docs/adr/0001).
const APPEND_ALONE: &str = "INSERT INTO events \
    (position, version, recorded_at, schema_version, id, stream, type, encoding, metadata, data) \
    SELECT coalesce((SELECT max(l.position) FROM events l), 0) + 1, $2 + 1, $9, $5, $3, $1, $4, $6, $8, $7 \
    WHERE $2 = coalesce((SELECT s.version FROM events s WHERE s.stream = $1 ORDER BY s.version DESC LIMIT 1), 0) \
    AND pg_try_advisory_xact_lock(hashtextextended('taskledger.event_store', 0)) \
    ON CONFLICT DO NOTHING RETURNING position - 1, $2";
const APPEND_ONE: &str = "SELECT before, current FROM append_event($1, $2, $3, $4, $5, $6, $7, $8, $9)";
const APPEND: &str = "SELECT positions, versions \
    FROM append_events($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";

/// The settings that `append_events()` relies on, besides those of every connection.
const SESSION: &str = "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED; \
    SET statement_timeout = '10s'";

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longer than the server's own limit of 10 s for a statement, for the case that the server does not answer at all.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(15);
/// After this time without use, the connection is tested before it is used.
const IDLE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct PostgresWriter {
    server: PostgresServer,
    database: Database,
    connection: Option<PgConnection>,
    last_used: Instant,
}

impl PostgresWriter {
    /// Creates a writer that connects when there is something to write, and announces appends through `database`.
    pub(crate) fn new(server: PostgresServer, database: Database) -> Self {
        Self { server, database, connection: None, last_used: Instant::now() }
    }

    /// The connection; a new one if there is none that works.
    async fn connection(&mut self) -> Result<PgConnection, DatabaseError> {
        if let Some(mut connection) = self.connection.take()
            && (self.last_used.elapsed() < IDLE || connection.ping().await.is_ok())
        {
            return Ok(connection);
        }
        let mut connection = self.server.connect().await?;
        connection.execute(sqlx::raw_sql(SESSION)).await?;
        Ok(connection)
    }
}

impl Writer for PostgresWriter {
    async fn commit(&mut self, batch: &[Append]) -> Result<Vec<Outcome>, BatchError> {
        // Taken out of the field, so that a connection that failed or timed out is not used again.
        let connecting = timeout(CONNECT_TIMEOUT, self.connection()).await;
        let mut connection =
            connecting.unwrap_or_else(|_| Err(late("no connection"))).map_err(BatchError::unavailable)?;
        let appending = timeout(COMMIT_TIMEOUT, append(&mut connection, batch)).await;
        let result = appending.unwrap_or_else(|_| Err(late("no answer")));
        self.last_used = Instant::now();
        match result {
            Ok(outcomes) => {
                self.connection = Some(connection);
                let outcomes = outcomes.map_err(BatchError::Unavailable)?;
                if let Some(position) = outcomes.iter().filter_map(Outcome::position).max() {
                    self.database.signal(CHANNEL, "", position.to_string());
                }
                Ok(outcomes)
            }
            // The batch was not written.
            Err(error) if error.refuses_data() => {
                self.connection = Some(connection);
                Err(BatchError::Refused(StoreError::unavailable(error)))
            }
            Err(error) => Err(BatchError::unavailable(error)),
        }
    }

    async fn close(self) {
        if let Some(connection) = self.connection {
            // If this fails the server notices by itself.
            let _ = timeout(CONNECT_TIMEOUT, connection.close()).await;
        }
    }
}

async fn append(
    connection: &mut PgConnection,
    batch: &[Append],
) -> Result<Result<Vec<Outcome>, StoreError>, DatabaseError> {
    if let [append] = batch
        && let [event] = append.events.as_slice()
        // Another number has no next one.
        && signed(append.expected_version) < i64::MAX
    {
        let before = append_one(connection, append, event).await?;
        return Ok(outcome(append, before).map(|outcome| vec![outcome]));
    }
    // The number of its append from 1, the append, and the number of the event in it from 1.
    let mut events: Vec<(i32, &Append, i32, &PreparedEvent)> = Vec::new();
    for (append, index) in batch.iter().zip(1..) {
        let of_append = append.events.iter().zip(1..);
        events.extend(of_append.map(|(event, place)| (index, append, place, event)));
    }
    let row = sqlx::query(APPEND)
        .bind(each(batch, |append| append.stream.as_str()))
        .bind(each(&slots(batch), |slot| number(slot + 1)))
        .bind(each(batch, |append| signed(append.expected_version)))
        .bind(each(batch, |append| number(append.events.len())))
        .bind(each(&events, |(index, ..)| *index))
        .bind(each(&events, |(_, _, place, _)| *place))
        .bind(each(&events, |(_, append, ..)| append.stream.as_str()))
        .bind(each(&events, |(.., event)| event.event.id.0))
        .bind(each(&events, |(.., event)| event.event.kind.as_str()))
        .bind(each(&events, |(.., event)| i32::from(event.event.schema_version)))
        .bind(each(&events, |(.., event)| event.event.encoding.as_str()))
        .bind(each(&events, |(.., event)| event.event.data.as_ref()))
        .bind(each(&events, |(.., event)| event.metadata.as_str()))
        .bind(each(&events, |(.., event)| event.event.recorded_at.as_micros()))
        .fetch_one(connection)
        .await?;
    let positions: Vec<i64> = row.try_get(0)?;
    let versions: Vec<i64> = row.try_get(1)?;
    let befores = positions.into_iter().zip(versions);
    Ok(batch.iter().zip(befores).map(|(append, before)| outcome(append, before)).collect())
}

/// Appends one event. Returns the position before its own, or a negative one, and the version of the stream before it.
async fn append_one(
    connection: &mut PgConnection,
    append: &Append,
    event: &PreparedEvent,
) -> Result<(i64, i64), sqlx::Error> {
    // The function takes a quarter longer, and says what was in the way.
    match with_one(APPEND_ALONE, append, event).fetch_optional(&mut *connection).await? {
        Some(before) => Ok(before),
        None => with_one(APPEND_ONE, append, event).fetch_one(connection).await,
    }
}

/// `statement` with the parameters of one event.
fn with_one<'a>(
    statement: &'static str,
    append: &'a Append,
    event: &'a PreparedEvent,
) -> QueryAs<'a, Postgres, (i64, i64), PgArguments> {
    sqlx::query_as(statement)
        .bind(append.stream.as_str())
        .bind(signed(append.expected_version))
        .bind(event.event.id.0)
        .bind(event.event.kind.as_str())
        .bind(i32::from(event.event.schema_version))
        .bind(event.event.encoding.as_str())
        .bind(event.event.data.as_ref())
        .bind(event.metadata.as_str())
        .bind(event.event.recorded_at.as_micros())
}

/// The value of each item, for an array.
fn each<'a, I, T>(items: &'a [I], value: impl Fn(&'a I) -> T) -> Vec<T> {
    items.iter().map(value).collect()
}

fn outcome(append: &Append, (position, version): (i64, i64)) -> Result<Outcome, StoreError> {
    let version: u64 = unsigned(version, "a stream's version")?;
    if position < 0 {
        return Ok(Outcome::Conflict { actual: version });
    }
    let position: u64 = unsigned(position, "a position")?;
    let count = append.events.len() as u64;
    Ok(Outcome::Appended(Appended { version: version + count, position: position + count }))
}

/// Converts a count. No batch that fits into memory has more events.
fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

fn late(what: &str) -> DatabaseError {
    let reason = format!("{what} from PostgreSQL in time");
    sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, reason)).into()
}

//! Lists, retries and discards parked events, for operators. `projecting/fold/` decides what is parked, and
//! `parked_without_keys.rs` retries by itself what lacked only a key.

use std::collections::HashSet;

use database::{Database, DatabaseError, Dialect, Row, Transaction, list_parameter, readable_page};
use event_store::{EventStore, StoreError};
use events::{RecordedEvent, StreamName, UserId};
use runtime::with_causes;

use crate::{
    models::{storable, table_of},
    operator::locking::begin_with_locks,
    projecting::{
        checkpoint,
        decode::{Decoded, Reading, decode},
        fold::{GapPolicy, HoleFound},
        loading, writing,
    },
};

/// An event that could not be projected, or a later one of its stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedEvent {
    pub position: u64,
    pub stream: StreamName,
    /// Its version in the stream.
    pub version: u64,
    pub kind: String,
    pub reason: String,
    pub attempts: u64,
    /// Whether it is the first parked event of its stream.
    pub is_first: bool,
}

/// An event that an operator has discarded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discarded {
    pub event: ParkedEvent,
    /// The later events of its stream, which are still parked; `None` if they could not be counted.
    pub later: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retried {
    /// The events that were projected.
    pub projected: u64,
    /// The events of the stream that are still parked.
    pub parked: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum ParkingError {
    #[error("no parked event at position {0}")]
    NotParked(u64),
    #[error("no parked event of stream {0}")]
    StreamNotParked(StreamName),
    #[error("the event at position {first} of the same stream is parked before it: begin with that one")]
    NotFirst { first: u64 },
    #[error("the log has no version {version} of stream {stream}")]
    NotInLog { stream: StreamName, version: u64 },
    /// The positions of parked events name other events in the log, or none.
    #[error("{}", read_models::OTHER_LOG)]
    OtherLog,
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The most parked events that are read at once: there may be millions, and projectors read the same table.
const PAGE: u64 = 500;

const COLUMNS: &str = "position, stream, version, type, reason, attempts, NOT EXISTS (
        SELECT 1 FROM parked_events AS earlier
        WHERE earlier.stream = parked_events.stream AND earlier.version < parked_events.version
    ) AS is_first";

/// A page of the parked events after the position `after`, the oldest first; empty at the end.
pub async fn parked(read_models: &Database, after: u64) -> Result<Vec<ParkedEvent>, DatabaseError> {
    let sql =
        format!("SELECT {COLUMNS} FROM parked_events WHERE position > $1 ORDER BY position LIMIT {PAGE}");
    let after = vec![after.into()];
    readable_page(read_models, "parked_events", &["position"], &sql, after, from_row).await
}

/// The parked event at `position`, if there is one.
pub async fn parked_at(read_models: &Database, position: u64) -> Result<Option<ParkedEvent>, DatabaseError> {
    let sql = format!("SELECT {COLUMNS} FROM parked_events WHERE position = $1");
    let row = read_models.fetch_optional(&sql, &[position.into()]).await?;
    row.as_ref().map(from_row).transpose()
}

/// The `streams` with parked events.
pub async fn parked_among(
    read_models: &Database,
    streams: &[&StreamName],
) -> Result<HashSet<StreamName>, DatabaseError> {
    let sql = format!(
        "SELECT DISTINCT stream FROM parked_events WHERE {}",
        Dialect::of(read_models).one_of("stream", "text", 1)
    );
    let names = list_parameter(streams.iter().map(|stream| stream.as_str()));
    let rows = read_models.fetch_all(&sql, &[names]).await?;
    rows.iter().map(|row| Ok(StreamName::raw(row.text("stream")?))).collect()
}

/// Projects the parked events of `stream` in order, as far as possible.
///
/// # Errors
/// When none of them is parked, or the log or the read models cannot be used. Events projected before the failure
/// stay projected.
pub async fn retry(
    store: &dyn EventStore,
    read_models: &Database,
    stream: &StreamName,
) -> Result<Retried, ParkingError> {
    let mut projected = 0;
    loop {
        match retry_first(store, read_models, stream).await? {
            Some(true) => projected += 1,
            Some(false) => break,
            None if projected == 0 => return Err(ParkingError::StreamNotParked(stream.clone())),
            None => break,
        }
    }
    let parked = parked_of(read_models, stream).await?;
    Ok(Retried { projected, parked })
}

/// Like [`retry`], unless the key of the person of the first parked event still cannot be used. Returns how many events
/// were projected.
pub(crate) async fn retry_with_key(
    store: &dyn EventStore,
    read_models: &Database,
    stream: &StreamName,
) -> Result<u64, ParkingError> {
    let row = read_models.fetch_optional(&first(), &[stream.as_str().into()]).await?;
    let Some(first) = row.as_ref().map(from_row).transpose()? else {
        return Ok(0);
    };
    if read(store, &first).await?.reading == Reading::WithoutKey {
        return Ok(0);
    }
    match retry(store, read_models, stream).await {
        Ok(retried) => Ok(retried.projected),
        // An operator was faster.
        Err(ParkingError::StreamNotParked(_)) => Ok(0),
        Err(error) => Err(error),
    }
}

/// The number of parked events of `stream`.
async fn parked_of(read_models: &Database, stream: &StreamName) -> Result<u64, DatabaseError> {
    let sql = "SELECT COUNT(*) AS parked FROM parked_events WHERE stream = $1";
    read_models.number(sql, &[stream.as_str().into()]).await
}

/// Discards the parked event at `position`: the stream continues without it, also when everything is projected again.
/// It must be the first parked one of its stream; retry the stream for the rest.
///
/// # Errors
/// When it is not parked or not the first of its stream, or the read models cannot be used.
pub async fn discard(read_models: &Database, position: u64) -> Result<Discarded, ParkingError> {
    let event = discard_first(read_models, position).await?;
    // The event is discarded, whatever becomes of this.
    let later = parked_of(read_models, &event.stream).await;
    let later = later.inspect_err(|error| tracing::warn!(%error, "what is still parked cannot be counted"));
    Ok(Discarded { event, later: later.ok() })
}

async fn discard_first(read_models: &Database, position: u64) -> Result<ParkedEvent, ParkingError> {
    let sql = format!("SELECT {COLUMNS}, subject FROM parked_events WHERE position = $1");
    let row = read_models.fetch_optional(&sql, &[position.into()]).await?;
    let subject = UserId(row.ok_or(ParkingError::NotParked(position))?.uuid("subject")?);
    let mut tx = begin_with_locks(read_models, |tx| Box::pin(checkpoint::lock(tx, subject))).await?;
    let row = tx.fetch_optional(&sql, &[position.into()]).await?;
    let row = row.ok_or(ParkingError::NotParked(position))?;
    let event = from_row(&row)?;
    if let Some(first) = first_of(&mut tx, &event.stream).await?
        && first.position != position
    {
        return Err(ParkingError::NotFirst { first: first.position });
    }
    give_up_on(&mut tx, &row).await?;
    unpark(&mut tx, position).await?;
    if let Some((table, id)) = table_of(&event.stream) {
        let sql =
            format!("UPDATE {} SET version = $1, position = $4 WHERE id = $2 AND version = $3", table.name);
        let values =
            [event.version.into(), id.into(), event.version.saturating_sub(1).into(), position.into()];
        tx.execute(&sql, &values).await?;
    }
    tx.commit().await?;
    Ok(event)
}

/// Records that an operator discarded the event of `row`, which is from `parked_events` or `discarded_events`.
pub(super) async fn give_up_on(tx: &mut Transaction, row: &Row) -> Result<(), DatabaseError> {
    let sql = "INSERT INTO discarded_events (position, stream, version, type, subject, reason)
               VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (position) DO NOTHING";
    let values = [
        row.integer("position")?.into(),
        row.text("stream")?.into(),
        row.integer("version")?.into(),
        row.text("type")?.into(),
        row.uuid("subject")?.into(),
        row.text("reason")?.into(),
    ];
    tx.execute(sql, &values).await.map(drop)
}

async fn unpark(tx: &mut Transaction, position: u64) -> Result<(), DatabaseError> {
    let sql = "DELETE FROM parked_events WHERE position = $1";
    tx.execute(sql, &[position.into()]).await.map(drop)
}

/// Tries the first parked event of `stream`: `Some(true)` when it was projected, `Some(false)` when it is still
/// parked, `None` when there is none.
async fn retry_first(
    store: &dyn EventStore,
    read_models: &Database,
    stream: &StreamName,
) -> Result<Option<bool>, ParkingError> {
    let (mut tx, parked, event) = loop {
        let row = read_models.fetch_optional(&first(), &[stream.as_str().into()]).await?;
        let Some(parked) = row.as_ref().map(from_row).transpose()? else {
            return Ok(None);
        };
        // Read before the projectors are blocked.
        let event = read(store, &parked).await?;
        let subject = event.record.metadata.subject;
        // Events that arrive meanwhile must find the stream either parked or completely projected.
        let mut tx = begin_with_locks(read_models, |tx| Box::pin(checkpoint::lock(tx, subject))).await?;
        // Another process may have retried or discarded it.
        if first_of(&mut tx, stream).await?.is_some_and(|first| first.position == parked.position) {
            break (tx, parked, event);
        }
    };
    let reason = match project(&mut tx, read_models, event).await {
        Ok(None) => {
            unpark(&mut tx, parked.position).await?;
            tx.commit().await?;
            return Ok(Some(true));
        }
        Ok(Some(reason)) => reason,
        Err(error) if error.refuses_data() => format!("the database refuses it: {}", with_causes(&error)),
        Err(error) => return Err(error.into()),
    };
    drop(tx);
    read_models
        .execute(
            "UPDATE parked_events SET attempts = attempts + 1, reason = $1 WHERE position = $2",
            &[storable(&reason).into(), parked.position.into()],
        )
        .await?;
    Ok(Some(false))
}

/// Reads a parked event from the log, by its position, because its stream may be unreadable. After a restore another
/// event may be at the position.
async fn read(store: &dyn EventStore, parked: &ParkedEvent) -> Result<Decoded, ParkingError> {
    let found = store.record_at(parked.position).await?.into_iter().collect();
    let event = decode(store, found).await?.pop();
    event
        .filter(|event| is_record_of(parked, &event.record))
        .ok_or_else(|| ParkingError::NotInLog { stream: parked.stream.clone(), version: parked.version })
}

fn is_record_of(parked: &ParkedEvent, record: &RecordedEvent) -> bool {
    // A version that could not be read is 0.
    let versions = [record.version, parked.version];
    record.position == parked.position
        && storable(record.stream.as_str()) == parked.stream.as_str()
        && (versions[0] == versions[1] || versions.contains(&0))
}

/// Applies an event as if its stream were not parked; returns the reason when that is impossible.
async fn project(
    tx: &mut Transaction,
    read_models: &Database,
    event: Decoded,
) -> Result<Option<String>, DatabaseError> {
    let mut fold = loading::load(read_models, tx, std::slice::from_ref(&event)).await?;
    fold.parked.remove(&event.record.stream);
    // With this policy, missing events are never reported.
    let (Ok(()) | Err(HoleFound)) = fold.take(&event, None, GapPolicy::Park);
    if let Some(parked) = fold.newly_parked.pop() {
        return Ok(Some(parked.reason));
    }
    // An event that was unreadable when it was parked has no audit entry yet, or one without personal data.
    let sql = "DELETE FROM audit_log WHERE position = $1";
    tx.execute(sql, &[event.record.position.into()]).await?;
    writing::audit(tx, std::slice::from_ref(&event), &fold.erased).await?;
    writing::write(tx, fold).await?;
    Ok(None)
}

/// The first parked event of the stream `$1`.
fn first() -> String {
    format!("SELECT {COLUMNS} FROM parked_events WHERE stream = $1 ORDER BY version LIMIT 1")
}

async fn first_of(tx: &mut Transaction, stream: &StreamName) -> Result<Option<ParkedEvent>, DatabaseError> {
    tx.fetch_optional(&first(), &[stream.as_str().into()]).await?.as_ref().map(from_row).transpose()
}

fn from_row(row: &Row) -> Result<ParkedEvent, DatabaseError> {
    Ok(ParkedEvent {
        position: row.unsigned("position")?,
        stream: StreamName::raw(row.text("stream")?),
        version: row.unsigned("version")?,
        kind: row.text("type")?,
        reason: row.text("reason")?,
        attempts: row.unsigned("attempts").unwrap_or_default(),
        is_first: row.boolean("is_first")?,
    })
}

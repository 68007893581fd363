//! From a row of `events` to a recorded event, for both databases.

use bytes::Bytes;
use database::{DatabaseError, Row};
use events::{EventId, RecordedEvent, StreamName, Timestamp};

use crate::StoreError;

/// The columns that [`recorded`] expects, in its order.
macro_rules! columns {
    () => {
        "position, version, recorded_at, schema_version, id, stream, type, encoding, metadata, data"
    };
}
pub(super) use columns;

/// Reads a row.
pub(super) fn recorded(row: &Row) -> Result<RecordedEvent, StoreError> {
    let position = row.unsigned(0).map_err(corrupt)?;
    let at_fault = |what: String| StoreError::Corrupt(format!("position {position}: {what}"));
    let read = || -> Result<_, DatabaseError> {
        Ok((
            row.unsigned(1)?,
            row.integer(2)?,
            row.integer(3)?,
            row.uuid(4)?,
            row.str(5)?,
            row.str(6)?,
            row.str(7)?,
            row.str(8)?,
            row.bytes(9)?,
        ))
    };
    let (version, recorded_at, schema_version, id, stream, kind, encoding, metadata, data) =
        read().map_err(|error| at_fault(error.to_string()))?;
    Ok(RecordedEvent {
        position,
        version,
        recorded_at: Timestamp::from_micros(recorded_at),
        schema_version: u16::try_from(schema_version)
            .map_err(|_| at_fault(format!("schema version {schema_version}")))?,
        id: EventId(id),
        stream: StreamName::raw(stream),
        kind: kind.to_owned(),
        encoding: encoding.parse().map_err(at_fault)?,
        metadata: serde_json::from_str(metadata).map_err(|error| at_fault(format!("metadata: {error}")))?,
        data: Bytes::from(data),
    })
}

/// What the database holds is not what was written.
pub(super) fn corrupt(error: DatabaseError) -> StoreError {
    StoreError::Corrupt(error.to_string())
}

/// Counts are never negative.
pub(super) fn unsigned<T: TryFrom<i64>>(value: i64, what: &str) -> Result<T, StoreError> {
    T::try_from(value).map_err(|_| StoreError::Corrupt(format!("{what} is {value}")))
}

/// Counts never reach 2^63; a caller's wild guess may, and is then no stream's version.
pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// What `LIMIT` takes.
pub(super) fn limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

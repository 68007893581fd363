//! Decodes a row of `events`, for both databases.

use bytes::Bytes;
use database::{DatabaseError, Row};
use events::{Encoding, EventId, RecordedEvent, StoredEvent, StoredPayload, StreamName, Timestamp};
pub(super) use runtime::signed;

use crate::{Entry, PAGE_BYTES, StoreError, Unreadable, page::subject_of};

/// The columns of an event that is appended.
macro_rules! appended_columns {
    () => {
        "position, version, recorded_at, schema_version, id, stream, type, encoding, metadata, data"
    };
}
pub(super) use appended_columns;

/// The columns that [`recorded`] and [`stored`] expect, in their order.
macro_rules! columns {
    () => {
        concat!($crate::sql::record::appended_columns!(), ", data_sha256")
    };
}
pub(super) use columns;

/// The bytes of a row that count for the size of a page, in SQL.
macro_rules! size {
    () => {
        "(octet_length(data) + octet_length(metadata))"
    };
}
pub(super) use size;

/// The size of a row, from the column of `size!`. A row whose size cannot be read counts as a full page.
pub(super) fn bytes_of(row: &Row) -> usize {
    match (row.lossy(9), row.lossy(8)) {
        (Some(data), Some(metadata)) => data.len() + metadata.len(),
        _ => PAGE_BYTES,
    }
}

/// Reads a row.
///
/// # Errors
/// When the position cannot be read, which is the key of the table.
pub(super) fn recorded(row: &Row) -> Result<Entry, StoreError> {
    let position = row.unsigned(0).map_err(corrupt)?;
    let text = |column| String::from_utf8_lossy(row.lossy(column).unwrap_or_default()).into_owned();
    Ok(read(row, position).map_err(|reason| Unreadable {
        position,
        stream: StreamName::raw(text(5)),
        version: row.unsigned(1).unwrap_or(0),
        id: row.uuid(4).ok().map(EventId),
        kind: text(6).into(),
        subject: row.lossy(8).and_then(subject_of),
        reason: reason.into(),
        impersonal: None,
    }))
}

/// The SHA-256 of a dropped payload. If the payload exists, the stored hash is ignored.
fn kept_hash(row: &Row) -> Option<&[u8]> {
    let is_empty = row.lossy(9).is_some_and(<[u8]>::is_empty);
    // In SQLite, NULL has no bytes.
    row.lossy(10).filter(|hash| is_empty && !hash.is_empty())
}

fn read(row: &Row, position: u64) -> Result<RecordedEvent, String> {
    let columns = || -> Result<_, DatabaseError> {
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
        columns().map_err(|error| error.to_string())?;
    Ok(RecordedEvent {
        position,
        version,
        recorded_at: Timestamp::from_micros(recorded_at),
        schema_version: u16::try_from(schema_version)
            .map_err(|_| format!("schema version {schema_version}"))?,
        id: EventId(id),
        stream: StreamName::raw(stream),
        kind: kind.to_owned(),
        encoding: match kept_hash(row) {
            Some(_) => Encoding::Dropped,
            None => encoding.parse()?,
        },
        metadata: serde_json::from_str(metadata).map_err(|error| format!("metadata: {error}"))?,
        data: Bytes::from(data),
    })
}

/// Reads a row as it is stored. A text column with other bytes differs from everything that was ever appended,
/// however it is read.
pub(super) fn stored(row: &Row) -> Result<StoredEvent, StoreError> {
    let text = |column| String::from_utf8_lossy(row.lossy(column).unwrap_or_default()).into_owned();
    let bytes = |column| Bytes::copy_from_slice(row.lossy(column).unwrap_or_default());
    let integer = |column: usize| row.integer(column).map_err(corrupt);
    Ok(StoredEvent {
        position: integer(0)?,
        stream: text(5),
        version: integer(1)?,
        id: match row {
            Row::Postgres(_) => row.uuid(4).map_err(corrupt)?.hyphenated().to_string(),
            Row::Sqlite(_) => text(4),
        },
        kind: text(6),
        schema_version: integer(3)?,
        encoding: text(7),
        recorded_at: integer(2)?,
        metadata: bytes(8),
        data: match kept_hash(row) {
            Some(sha256) => StoredPayload::dropped(sha256),
            None => bytes(9).into(),
        },
    })
}

/// The stored data is not what was written.
pub(super) fn corrupt(error: DatabaseError) -> StoreError {
    StoreError::Corrupt(error.to_string())
}

/// Converts a count, which is never negative.
pub(super) fn unsigned<T: TryFrom<i64>>(value: i64, what: &str) -> Result<T, StoreError> {
    T::try_from(value).map_err(|_| StoreError::Corrupt(format!("{what} is {value}")))
}

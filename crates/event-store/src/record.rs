//! From a row of `events` to a recorded event, for both databases.

use bytes::Bytes;
use events::{EventId, RecordedEvent, StreamName, Timestamp};
use sqlx::{ColumnIndex, Decode, Row, Type};
use uuid::Uuid;

use crate::StoreError;

/// The columns that [`recorded`] expects, in its order.
macro_rules! columns {
    () => {
        "position, version, recorded_at, schema_version, id, stream, type, encoding, metadata, data"
    };
}
pub(crate) use columns;

/// Reads a row; `id` tells how the database keeps ids.
pub(crate) fn recorded<'r, R>(
    row: &'r R,
    id: impl FnOnce(&'r R) -> Result<Uuid, sqlx::Error>,
) -> Result<RecordedEvent, StoreError>
where
    R: Row,
    usize: ColumnIndex<R>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    i32: Decode<'r, R::Database> + Type<R::Database>,
    &'r str: Decode<'r, R::Database> + Type<R::Database>,
    &'r [u8]: Decode<'r, R::Database> + Type<R::Database>,
{
    let position = unsigned(get::<i64, R>(row, 0)?, "position")?;
    let metadata: &str = get(row, 8)?;
    Ok(RecordedEvent {
        position,
        version: unsigned(get::<i64, R>(row, 1)?, "version")?,
        recorded_at: Timestamp::from_micros(get(row, 2)?),
        schema_version: unsigned(i64::from(get::<i32, R>(row, 3)?), "schema_version")?,
        id: EventId(id(row).map_err(corrupt)?),
        stream: StreamName::raw(get::<&str, R>(row, 5)?),
        kind: get::<&str, R>(row, 6)?.to_owned(),
        encoding: get::<&str, R>(row, 7)?
            .parse()
            .map_err(|error| StoreError::Corrupt(format!("position {position}: {error}")))?,
        metadata: serde_json::from_str(metadata)
            .map_err(|error| StoreError::Corrupt(format!("position {position}: metadata: {error}")))?,
        data: Bytes::copy_from_slice(get(row, 9)?),
    })
}

fn get<'r, T, R>(row: &'r R, column: usize) -> Result<T, StoreError>
where
    R: Row,
    usize: ColumnIndex<R>,
    T: Decode<'r, R::Database> + Type<R::Database>,
{
    row.try_get(column).map_err(corrupt)
}

fn corrupt(error: sqlx::Error) -> StoreError {
    StoreError::Corrupt(error.to_string())
}

/// Counts are never negative.
pub(crate) fn unsigned<T: TryFrom<i64>>(value: i64, what: &str) -> Result<T, StoreError> {
    T::try_from(value).map_err(|_| StoreError::Corrupt(format!("{what} is {value}")))
}

/// Counts never reach 2^63; a caller's wild guess may, and is then no stream's version.
pub(crate) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// What `LIMIT` takes.
pub(crate) fn limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

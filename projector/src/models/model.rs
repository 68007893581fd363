//! The trait of a read model: the state of one stream as one row.

use database::{DatabaseError, Row, Value};
use events::{Aggregate, RecordedEvent, Timestamp, UserId};
use uuid::Uuid;

use super::{history::TaskVersion, table::Table};

/// The fields that the state of every stream has.
pub(crate) trait Versioned {
    fn id(&self) -> Uuid;

    fn version(&self) -> u64;

    /// Skips a discarded event.
    fn set_version(&mut self, version: u64);
}

/// The state of one stream as one row.
pub(crate) trait Model: Aggregate<Id: From<Uuid>> + Versioned {
    const TABLE: Table;

    /// The column with the subject of a row.
    const SUBJECT: &'static str;

    /// The conditions for rows about the person `$1`; each has an index.
    const ERASURE: &'static [&'static str];

    /// The subject of the stream, if `event` names it.
    fn named(id: Uuid, event: &Self::Event) -> Option<UserId>;

    /// Whether `event` keeps nothing of the state before it, so that it can be applied without one.
    fn starts_over(_event: &Self::Event) -> bool {
        false
    }

    /// The history entry of `record`, if the model has a history.
    fn history(&self, _before: Option<&Self>, _record: &RecordedEvent) -> Option<TaskVersion> {
        None
    }

    fn subject(&self) -> UserId;

    /// The texts of people in the row, each with the name of its field.
    fn texts(&self) -> impl Iterator<Item = (&'static str, &str)>;

    /// Appends the row's columns in the order of the table; `position` is of the last event applied.
    fn values(&self, position: u64, row: &mut Vec<Value>);

    /// Reads a row from its columns; fields without a column stay empty.
    fn from_row(row: &Row) -> Result<Self, DatabaseError>;
}

pub(crate) fn micros(instant: Option<Timestamp>) -> Value {
    Value::Integer(instant.map(Timestamp::as_micros))
}

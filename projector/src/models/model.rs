//! The trait of a read model: the state of one stream as one row.

use database::{DatabaseError, Row, Value};
use events::{RecordedEvent, StreamName, Timestamp, UserId};
use uuid::Uuid;

use super::{history::TaskVersion, table::Table};

/// The state of one stream as one row.
pub(crate) trait Model: Clone + Send + Sync {
    /// The events of its streams.
    type Event;

    /// Its table.
    const TABLE: Table;

    /// The column with the subject of a row.
    const SUBJECT: &'static str;

    /// Which rows are about the person `$1`, each condition with an index.
    const ERASURE: &'static [&'static str];

    /// The state after `event`, as the fold of [`events`] has it.
    fn evolve(
        state: Option<Self>,
        id: Uuid,
        event: &Self::Event,
        version: u64,
        at: Timestamp,
    ) -> Option<Self>;

    /// The stream of the row with this key.
    fn stream(id: Uuid) -> StreamName;

    /// The subject of the stream according to `event`, if that says so.
    fn named(id: Uuid, event: &Self::Event) -> Option<UserId>;

    /// Whether `event` keeps nothing of the state before it, so that it can be applied without one.
    fn starts_over(_event: &Self::Event) -> bool {
        false
    }

    /// The history entry of `record`, if the model has a history.
    fn history(&self, _before: Option<&Self>, _record: &RecordedEvent) -> Option<TaskVersion> {
        None
    }

    /// The key of the row.
    fn id(&self) -> Uuid;

    /// The subject.
    fn subject(&self) -> UserId;

    /// The version of its stream.
    fn version(&self) -> u64;

    /// Skips a discarded event.
    fn set_version(&mut self, version: u64);

    /// The first text in it that PostgreSQL cannot store, if any.
    fn unstorable(&self) -> Option<&'static str>;

    /// Appends the row's columns in the order of the table; `position` is of the last event applied.
    fn values(&self, position: u64, row: &mut Vec<Value>);

    /// Reads a row from its columns; fields without a column stay empty.
    fn from_row(row: &Row) -> Result<Self, DatabaseError>;
}

/// Whether `text` contains the one character that PostgreSQL cannot store.
pub(crate) fn has_nul(text: &str) -> bool {
    text.contains('\0')
}

pub(crate) fn timestamp(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

pub(crate) fn micros(instant: Option<Timestamp>) -> Value {
    Value::Integer(instant.map(Timestamp::as_micros))
}

//! What a read model is: the state of one stream as one row.

use database::{DatabaseError, Row, Value};
use events::{RecordedEvent, StreamName, Timestamp, UserId};
use uuid::Uuid;

use super::{history::TaskVersion, table::Table};

/// The state of one stream as one row.
pub(crate) trait Model: Clone + Send + Sync {
    /// The events of its streams.
    type Event;

    /// Where its rows are.
    const TABLE: Table;

    /// The column that says whom a row is about.
    const SUBJECT: &'static str;

    /// Deletes the rows about the person `$1`, each statement with an index.
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

    /// The person whom `event` says that the stream is about, where it says so.
    fn named(id: Uuid, event: &Self::Event) -> Option<UserId>;

    /// Whether `event` leaves nothing of the state before it, so that it can be applied without.
    fn starts_over(_event: &Self::Event) -> bool {
        false
    }

    /// What `record` made of it, as far as its history is kept.
    fn history(&self, _before: Option<&Self>, _record: &RecordedEvent) -> Option<TaskVersion> {
        None
    }

    /// The row's key.
    fn id(&self) -> Uuid;

    /// Whom it is about.
    fn subject(&self) -> UserId;

    /// The version of its stream that it stands for.
    fn version(&self) -> u64;

    /// Passes over an event that an operator gave up on.
    fn set_version(&mut self, version: u64);

    /// The first text in it, if any, that PostgreSQL could not store.
    fn unstorable(&self) -> Option<&'static str>;

    /// Appends the row's columns in the order of the table; `position` is of the last event applied.
    fn values(&self, position: u64, row: &mut Vec<Value>);

    /// Reads a row as far as the columns go; what no column holds stays empty.
    fn from_row(row: &Row) -> Result<Self, DatabaseError>;
}

/// Whether `text` holds the one character that PostgreSQL does not store.
pub(crate) fn has_nul(text: &str) -> bool {
    text.contains('\0')
}

pub(crate) fn timestamp(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

pub(crate) fn micros(instant: Option<Timestamp>) -> Value {
    Value::Integer(instant.map(Timestamp::as_micros))
}

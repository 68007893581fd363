//! Parameters of statements, for both databases.

use sqlx::{Postgres, Sqlite, postgres::PgArguments, query::Query, sqlite::SqliteArguments};
use uuid::Uuid;

/// A parameter. Positions, versions and instants (microseconds) are integers; ids are `UUID` in PostgreSQL and
/// hyphenated text in SQLite. A null has a type, because PostgreSQL needs it.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `BIGINT`
    Integer(Option<i64>),
    /// `TEXT`
    Text(Option<String>),
    /// `BYTEA` or `BLOB`
    Bytes(Option<Vec<u8>>),
    /// `UUID` or `TEXT`
    Uuid(Option<Uuid>),
    /// `BOOLEAN`
    Boolean(bool),
}

macro_rules! from {
    ($($type:ty => $variant:ident;)+) => {
        $(
            impl From<$type> for Value {
                fn from(value: $type) -> Self {
                    Self::$variant(Some(value.into()))
                }
            }

            impl From<Option<$type>> for Value {
                fn from(value: Option<$type>) -> Self {
                    Self::$variant(value.map(Into::into))
                }
            }
        )+
    };
}

from! {
    i64 => Integer;
    i32 => Integer;
    u16 => Integer;
    String => Text;
    &str => Text;
    Vec<u8> => Bytes;
    &[u8] => Bytes;
    Uuid => Uuid;
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

impl From<u64> for Value {
    /// Positions and versions. SQL has no unsigned integers, but no log reaches 2^63.
    fn from(value: u64) -> Self {
        Self::Integer(Some(runtime::signed(value)))
    }
}

pub(crate) fn bind_postgres<'q>(
    query: Query<'q, Postgres, PgArguments>,
    value: &Value,
) -> Query<'q, Postgres, PgArguments> {
    match value.clone() {
        Value::Integer(value) => query.bind(value),
        Value::Text(value) => query.bind(value),
        Value::Bytes(value) => query.bind(value),
        Value::Uuid(value) => query.bind(value),
        Value::Boolean(value) => query.bind(value),
    }
}

pub(crate) fn bind_sqlite<'q>(
    query: Query<'q, Sqlite, SqliteArguments<'q>>,
    value: &Value,
) -> Query<'q, Sqlite, SqliteArguments<'q>> {
    match value.clone() {
        Value::Integer(value) => query.bind(value),
        Value::Text(value) => query.bind(value),
        Value::Bytes(value) => query.bind(value),
        Value::Uuid(value) => query.bind(value.map(Uuid::hyphenated)),
        Value::Boolean(value) => query.bind(value),
    }
}

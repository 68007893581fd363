//! The few expressions that differ between PostgreSQL and SQLite.

use crate::{Database, DatabaseError};

/// The SQL dialect of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// PostgreSQL's.
    Postgres,
    /// SQLite's.
    Sqlite,
}

impl Dialect {
    /// The dialect of `database`.
    pub fn of(database: &Database) -> Self {
        if database.is_postgres() { Self::Postgres } else { Self::Sqlite }
    }

    /// Microseconds since 1970 by the clock of PostgreSQL, which also advances within a transaction. With SQLite, which
    /// has no clock, by the clock of the machine.
    pub const fn now(self) -> &'static str {
        match self {
            Self::Postgres => "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint",
            Self::Sqlite => "CAST(unixepoch('subsec') * 1000000 AS INTEGER)",
        }
    }

    /// The condition that `column` contains the text `part`, a parameter. Unlike a pattern of `LIKE` the text needs no
    /// escape character.
    pub fn contains(self, column: &str, part: &str) -> String {
        match self {
            Self::Postgres => format!("strpos({column}, {part}) > 0"),
            Self::Sqlite => format!("instr({column}, {part}) > 0"),
        }
    }

    /// The larger of two values, neither of which is null.
    pub fn larger(self, one: &str, other: &str) -> String {
        match self {
            Self::Postgres => format!("greatest({one}, {other})"),
            Self::Sqlite => format!("max({one}, {other})"),
        }
    }

    /// The condition that `column` is in the [`crate::list_parameter`] `$number`. `column_type` is the column's type in
    /// PostgreSQL.
    pub fn one_of(self, column: &str, column_type: &str, number: usize) -> String {
        match self {
            // An array, so that the list is read once and not for each row, and an index is used for any number of
            // values.
            Self::Postgres => format!(
                "{column} = ANY (ARRAY(SELECT jsonb_array_elements_text(${number}::text::jsonb)::{column_type}))"
            ),
            Self::Sqlite => format!("{column} IN (SELECT value FROM json_each(${number}))"),
        }
    }
}

impl Database {
    /// The time by the clock of the database, in microseconds since 1970: see [`Dialect::now`].
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn now(&self) -> Result<i64, DatabaseError> {
        let sql = format!("SELECT {} AS now", Dialect::of(self).now());
        let rows = self.fetch_all(&sql, &[]).await?;
        let now = rows.first().map(|row| row.integer("now"));
        now.unwrap_or_else(|| Err(DatabaseError::Unexpected("the database tells no time".to_owned())))
    }
}

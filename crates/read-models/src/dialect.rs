//! The few expressions for these tables that differ between PostgreSQL and SQLite.

use database::{Database, Value};
use uuid::Uuid;

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
    #[must_use]
    pub fn of(database: &Database) -> Self {
        if database.is_postgres() {
            Self::Postgres
        } else {
            Self::Sqlite
        }
    }

    /// The condition that `column` contains the text `part`, a parameter. Unlike a pattern of `LIKE` the text needs no
    /// escape character.
    #[must_use]
    pub fn contains(self, column: &str, part: &str) -> String {
        match self {
            Self::Postgres => format!("strpos({column}, {part}) > 0"),
            Self::Sqlite => format!("instr({column}, {part}) > 0"),
        }
    }

    /// The condition that `grams` has a [`crate::Bit`], given as two parameters. A row without `grams` may have them all.
    #[must_use]
    pub fn has_bit(self, hash: &str, mask: &str) -> String {
        match self {
            Self::Postgres => {
                format!("COALESCE(get_byte(grams, ({hash} % octet_length(grams))::int) & {mask}, 1) <> 0")
            }
            // SQLite can read a byte of a value only as a character.
            Self::Sqlite => {
                format!("COALESCE(unicode(substr(grams, 1 + {hash} % length(grams), 1)) & {mask}, 1) <> 0")
            }
        }
    }

    /// The index hint after the table name `tasks`, for statements that read the `grams` of all tasks of an owner, in
    /// the trash or outside. SQLite needs it, because it ignores the length of rows; PostgreSQL stores long texts
    /// outside of them.
    #[must_use]
    pub const fn index_of_grams(self, deleted: bool) -> &'static str {
        match (self, deleted) {
            (Self::Postgres, _) => "",
            (Self::Sqlite, false) => " INDEXED BY tasks_by_created_at",
            (Self::Sqlite, true) => " INDEXED BY trash_by_created_at",
        }
    }

    /// The index hint after the table name `tasks`, for statements that count tasks of an owner, as
    /// [`Self::index_of_grams`].
    #[must_use]
    pub const fn index_of_counts(self) -> &'static str {
        match self {
            Self::Postgres => "",
            Self::Sqlite => " INDEXED BY tasks_by_position",
        }
    }

    /// The condition that `column`, which holds ids, is one of [`Self::id_list`], bound as parameter `$parameter`.
    #[must_use]
    pub fn one_of(self, column: &str, parameter: usize) -> String {
        match self {
            // A subquery, so that the list is read once and not for each row.
            Self::Postgres => {
                format!("{column} = ANY((SELECT string_to_array(${parameter}, ',')::uuid[])::uuid[])")
            }
            Self::Sqlite => format!("{column} IN (SELECT value FROM json_each(${parameter}))"),
        }
    }

    /// Any number of ids as one parameter, so that the statement stays the same.
    #[must_use]
    pub fn id_list(self, ids: impl IntoIterator<Item = Uuid>) -> Value {
        let ids: Vec<String> = ids.into_iter().map(|id| id.to_string()).collect();
        let list = match self {
            Self::Postgres => ids.join(","),
            Self::Sqlite => serde_json::Value::from(ids).to_string(),
        };
        list.into()
    }
}

//! Rows of either database, read by column name, or by index where speed matters.

use std::fmt;

use sqlx::{ColumnIndex, Decode, Row as _, Type, postgres::PgRow, sqlite::SqliteRow};
use uuid::{Uuid, fmt::Hyphenated};

use crate::{DatabaseError, Value};

/// A row of a result.
pub enum Row {
    /// A row of PostgreSQL.
    Postgres(PgRow),
    /// A row of SQLite.
    Sqlite(SqliteRow),
}

impl fmt::Debug for Row {
    /// Does not show the values, which may be personal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Postgres(_) => "Row::Postgres",
            Self::Sqlite(_) => "Row::Sqlite",
        })
    }
}

/// A column of a row: its name, or its index from 0, which is faster.
pub trait Column: ColumnIndex<PgRow> + ColumnIndex<SqliteRow> + fmt::Display + Copy {}

impl Column for &str {}
impl Column for usize {}

/// Columns of PostgreSQL have the type that the migration gave them, which is not checked for each value. Columns of
/// SQLite may hold values of any type.
impl Row {
    /// An integer column that is never null.
    ///
    /// # Errors
    /// When the column is missing, null, or of another type; the same for the other getters.
    pub fn integer(&self, column: impl Column) -> Result<i64, DatabaseError> {
        self.get(column)
    }

    /// An integer column that holds a count, position or version, which are never negative.
    pub fn unsigned(&self, column: impl Column) -> Result<u64, DatabaseError> {
        let value = self.integer(column)?;
        u64::try_from(value).map_err(|_| DatabaseError::Unexpected(format!("column {column} holds {value}")))
    }

    /// An integer column that may be null.
    pub fn optional_integer(&self, column: impl Column) -> Result<Option<i64>, DatabaseError> {
        self.get(column)
    }

    /// A text column that is never null.
    pub fn text(&self, column: impl Column) -> Result<String, DatabaseError> {
        self.get(column)
    }

    /// A text column that may be null.
    pub fn optional_text(&self, column: impl Column) -> Result<Option<String>, DatabaseError> {
        self.get(column)
    }

    /// A text column that is never null, borrowed from the row.
    pub fn str(&self, column: impl Column) -> Result<&str, DatabaseError> {
        self.get(column)
    }

    /// A text column that may be null, borrowed from the row.
    pub fn optional_str(&self, column: impl Column) -> Result<Option<&str>, DatabaseError> {
        self.get(column)
    }

    /// A bytes column that is never null.
    pub fn bytes(&self, column: impl Column) -> Result<Vec<u8>, DatabaseError> {
        self.get(column)
    }

    /// A bytes column that may be null.
    pub fn optional_bytes(&self, column: impl Column) -> Result<Option<Vec<u8>>, DatabaseError> {
        self.get(column)
    }

    /// A boolean column that is never null.
    pub fn boolean(&self, column: impl Column) -> Result<bool, DatabaseError> {
        self.get(column)
    }

    /// The stored bytes of a text or bytes column, for callers that must handle damaged values.
    pub fn lossy(&self, column: impl Column) -> Option<&[u8]> {
        match self {
            Self::Postgres(row) => row.try_get_unchecked(column).ok(),
            Self::Sqlite(row) => row.try_get_unchecked(column).ok(),
        }
    }

    /// An id column that is never null.
    pub fn uuid(&self, column: impl Column) -> Result<Uuid, DatabaseError> {
        match self {
            Self::Postgres(row) => Ok(row.try_get_unchecked(column)?),
            Self::Sqlite(row) => Ok(row.try_get::<Hyphenated, _>(column)?.into_uuid()),
        }
    }

    /// An id column that may be null.
    pub fn optional_uuid(&self, column: impl Column) -> Result<Option<Uuid>, DatabaseError> {
        match self {
            Self::Postgres(row) => Ok(row.try_get_unchecked(column)?),
            Self::Sqlite(row) => Ok(row.try_get::<Option<Hyphenated>, _>(column)?.map(Hyphenated::into_uuid)),
        }
    }

    /// The value of a key as it is stored, also one of no known form, for a statement that goes on after this row.
    ///
    /// # Errors
    /// When the column is missing, null, or holds no id, number, text or bytes.
    pub fn stored(&self, column: impl Column) -> Result<Value, DatabaseError> {
        let stored = match self {
            Self::Postgres(row) => row
                .try_get::<Uuid, _>(column)
                .map(Value::from)
                .or_else(|_| row.try_get::<i64, _>(column).map(Value::from))
                .or_else(|_| row.try_get::<String, _>(column).map(Value::from)),
            Self::Sqlite(row) => row
                .try_get::<i64, _>(column)
                .map(Value::from)
                .or_else(|_| row.try_get::<String, _>(column).map(Value::from))
                .or_else(|_| row.try_get::<Vec<u8>, _>(column).map(Value::from)),
        };
        Ok(stored?)
    }

    /// An id, a number or a text, as it is shown in messages about this row.
    pub fn shown(&self, column: impl Column) -> String {
        match self.stored(column) {
            Ok(Value::Uuid(Some(id))) => id.to_string(),
            Ok(Value::Integer(Some(number))) => number.to_string(),
            Ok(Value::Text(Some(text))) => text,
            Ok(_) | Err(_) => "?".to_owned(),
        }
    }

    fn get<'r, T>(&'r self, column: impl Column) -> Result<T, DatabaseError>
    where
        T: Decode<'r, sqlx::Postgres> + Type<sqlx::Postgres>,
        T: Decode<'r, sqlx::Sqlite> + Type<sqlx::Sqlite>,
    {
        Ok(match self {
            Self::Postgres(row) => row.try_get_unchecked(column)?,
            Self::Sqlite(row) => row.try_get(column)?,
        })
    }
}

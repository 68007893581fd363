//! The error for a column with an invalid value.

use std::fmt;

use database::DatabaseError;

/// The error that `column` has the invalid value `found`.
pub fn unexpected(column: &str, found: impl fmt::Display) -> DatabaseError {
    DatabaseError::Unexpected(format!("column {column} holds `{found}`"))
}

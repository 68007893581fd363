//! What is said of a column that does not hold what the projector writes into it.

use std::fmt;

use database::DatabaseError;

/// The `column` holds `found`, which is no value of it.
#[must_use]
pub fn unexpected(column: &str, found: impl fmt::Display) -> DatabaseError {
    DatabaseError::Unexpected(format!("column {column} holds `{found}`"))
}

//! Rows that a newer release or damage made unreadable do not stand in the way of others.

use crate::{Column, DatabaseError, Row};

/// The values of the rows of `table`. A row that cannot be read is left out, and the log names it by its column `key`.
pub fn readable<'r, T>(
    table: &str,
    key: impl Column,
    rows: impl IntoIterator<Item = &'r Row>,
    read: impl Fn(&Row) -> Result<T, DatabaseError>,
) -> Vec<T> {
    let rows = rows.into_iter();
    rows.filter_map(|row| left_out(table, key, row, read(row)))
        .collect()
}

/// The value that was `read` from a row of `table`, or `None` when it cannot be read: then the log names it by its
/// column `key`.
pub fn left_out<T>(table: &str, key: impl Column, row: &Row, read: Result<T, DatabaseError>) -> Option<T> {
    read.inspect_err(|error| {
        tracing::error!(%error, table, key = row.shown(key), "a row cannot be read and is left out");
    })
    .ok()
}

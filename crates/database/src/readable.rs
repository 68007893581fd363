//! Rows that a newer release or damage made unreadable do not stand in the way of others.

use crate::{Column, Database, DatabaseError, Row, Value};

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

/// The values of the next readable rows of `table`: those of the first page that has any, so that a whole page of
/// others hides none behind it. Empty at the end. `sql` selects a page in the order of the columns `key`. Its
/// parameters are `values`, of which the first are the key after which the page begins.
///
/// # Errors
/// When the database does not answer, or the keys of a page without a readable row cannot be compared with.
pub async fn readable_page<T>(
    database: &Database,
    table: &str,
    key: &[&str],
    sql: &str,
    mut values: Vec<Value>,
    read: impl Fn(&Row) -> Result<T, DatabaseError>,
) -> Result<Vec<T>, DatabaseError> {
    let name = key.last().copied().unwrap_or_default();
    loop {
        let rows = database.fetch_all(sql, &values).await?;
        let page = readable(table, name, &rows, &read);
        let Some(last) = rows.last().filter(|_| page.is_empty()) else {
            return Ok(page);
        };
        for (value, column) in values.iter_mut().zip(key) {
            *value = last.stored(*column)?;
        }
    }
}

/// The value that was `read` from a row of `table`, or `None` when it cannot be read: then the log names it by its
/// column `key`.
pub fn left_out<T>(table: &str, key: impl Column, row: &Row, read: Result<T, DatabaseError>) -> Option<T> {
    read.inspect_err(|error| {
        tracing::error!(%error, table, key = row.shown(key), "a row cannot be read and is left out");
    })
    .ok()
}

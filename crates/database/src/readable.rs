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
    rows.filter_map(|row| left_out(table, key, row, read(row))).collect()
}

/// The values of the next readable rows of `table`: those of the first page that has any, so that a whole page of
/// others hides none behind it. Empty at the end. `sql` selects a page in the order of the columns `key`. Its
/// parameters are `values`, of which the first are the key after which the page begins. The log names the other rows of
/// the first page, and says how many those of further pages are.
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
    let mut is_first = true;
    let mut not_named = 0;
    loop {
        let rows = database.fetch_all(sql, &values).await?;
        let page: Vec<T> = if is_first {
            readable(table, name, &rows, &read)
        } else {
            rows.iter().filter_map(|row| read(row).ok()).collect()
        };
        if !is_first {
            not_named += rows.len() - page.len();
        }
        is_first = false;
        let Some(last) = rows.last().filter(|_| page.is_empty()) else {
            if not_named > 0 {
                tracing::error!(table, rows = not_named, "more rows cannot be read and are left out");
            }
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

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use tracing::{
        Event, Metadata, Subscriber,
        span::{Attributes, Id, Record},
        subscriber::set_default,
    };

    use super::*;
    use crate::Schema;

    /// Counts the lines of the log that this file writes.
    struct Lines(Arc<AtomicUsize>);

    impl Subscriber for Lines {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.is_event() && metadata.target() == "database::readable"
        }

        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}

        fn record_follows_from(&self, _: &Id, _: &Id) {}

        fn event(&self, _: &Event<'_>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }

        fn enter(&self, _: &Id) {}

        fn exit(&self, _: &Id) {}
    }

    #[tokio::test]
    async fn a_line_names_each_row_of_the_first_page_and_another_counts_the_rest() {
        let directory = tempfile::tempdir().unwrap();
        let url = Database::file_url(&directory.path().join("numbers.db"));
        let database = Database::open(&url, Schema::Operations, 1).await.unwrap();
        let create = "CREATE TABLE numbers (number BIGINT PRIMARY KEY)";
        database.execute(create, &[]).await.unwrap();
        for number in -7..0_i64 {
            let insert = "INSERT INTO numbers VALUES ($1)";
            database.execute(insert, &[number.into()]).await.unwrap();
        }
        let lines = Arc::new(AtomicUsize::new(0));
        let _guard = set_default(Lines(Arc::clone(&lines)));
        let sql = "SELECT number FROM numbers WHERE number > $1 ORDER BY number LIMIT 2";
        let values = vec![(-8_i64).into()];
        let page =
            readable_page(&database, "numbers", &["number"], sql, values, |row| row.unsigned("number"));
        assert!(page.await.unwrap().is_empty());
        assert_eq!(lines.load(Ordering::SeqCst), 2 + 1);
    }
}

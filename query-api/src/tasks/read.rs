//! Runs the queries for tasks.

use database::{Database, DatabaseError, Row};
use events::{TaskId, Timestamp, UserId};

use super::{
    BadCursor, CursorKey, Filter, Sort,
    cursor::Place,
    row::{self, COLUMNS},
    statement::Statement,
};

/// What to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listing {
    pub(crate) filter: Filter,
    pub(crate) sort: Sort,
    /// At most so many a page.
    pub(crate) limit: u16,
    /// Where an earlier page ended.
    pub(crate) cursor: Option<String>,
    /// Whether to count all that pass the filter, on every page.
    pub(crate) count: bool,
}

/// A part of a list.
#[derive(Debug)]
pub(crate) struct Page {
    /// Each one is a [`super::TaskView`].
    pub(crate) rows: Vec<Row>,
    /// Where the next page begins, when there is more.
    pub(crate) next_cursor: Option<String>,
    /// How many pass the filter, when asked for.
    pub(crate) total: Option<u64>,
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListError {
    #[error(transparent)]
    Cursor(#[from] BadCursor),
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// A page of the tasks of `owner`.
///
/// # Errors
/// When the cursor is of another query, or the database fails.
pub(crate) async fn list(
    database: &Database,
    key: &CursorKey,
    owner: UserId,
    listing: &Listing,
    now: Timestamp,
) -> Result<Page, ListError> {
    let Listing {
        filter,
        sort,
        limit,
        cursor,
        count,
    } = listing;
    let after: Option<Place> = cursor
        .as_deref()
        .map(|cursor| key.read(cursor, owner, filter, *sort))
        .transpose()?;

    // One more than wanted tells whether there is a next page.
    let statement = Statement::page(owner, filter, *sort, after.as_ref(), limit + 1, now);
    let mut rows = database.fetch_all(&statement.text, &statement.values).await?;
    let more = rows.len() > usize::from(*limit);
    rows.truncate((*limit).into());

    let next_cursor = match rows.last() {
        Some(last) if more => Some(key.write(&row::place(last, *sort)?, owner, filter, *sort)),
        _ => None,
    };
    let total = if *count {
        let statement = Statement::count(owner, filter, now);
        let row = database
            .fetch_optional(&statement.text, &statement.values)
            .await?;
        Some(row.map_or(Ok(0), |row| row.unsigned("total"))?)
    } else {
        None
    };
    Ok(Page {
        rows,
        next_cursor,
        total,
    })
}

/// The row of the task `id`, if it is there, not in the trash, and belongs to `owner`: a [`super::TaskView`].
///
/// # Errors
/// When the database fails.
pub(crate) async fn find(
    database: &Database,
    owner: UserId,
    id: TaskId,
) -> Result<Option<Row>, DatabaseError> {
    let sql = format!("SELECT {COLUMNS} FROM tasks WHERE id = $1 AND owner = $2 AND deleted_at IS NULL");
    database
        .fetch_optional(&sql, &[id.0.into(), owner.0.into()])
        .await
}

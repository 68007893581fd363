//! Runs the queries for tasks.

use std::time::Duration;

use database::{Database, DatabaseError, Dialect, Row};
use events::{TaskId, Timestamp, UserId};
use http_api::CursorKey;
use read_models::cut_page_of_texts;
use tokio::time::timeout;
use uuid::Uuid;

use super::{
    Filter, Sort,
    cursor::TaskCursor,
    error::QueryError,
    row::{self, COLUMNS},
    statement::{MAX_CANDIDATES, Page, Statement},
};

/// The time limit of a page. A query that is given up is also cancelled in the database.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(3);
/// The time limit for counting all tasks that pass a filter, beside the page.
const COUNT_TIMEOUT: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listing {
    pub(crate) filter: Filter,
    pub(crate) sort: Sort,
    pub(crate) limit: u16,
    /// The cursor of an earlier page.
    pub(crate) cursor: Option<String>,
    /// Whether to count all tasks that pass the filter, on every page.
    pub(crate) count: bool,
}

#[derive(Debug)]
pub(crate) struct Listed {
    /// The rows, each read by [`task_of`](super::task_of).
    pub(crate) rows: Vec<Row>,
    /// The cursor of the next page, when there may be one.
    pub(crate) next_cursor: Option<String>,
    /// The number of tasks that pass the filter, when requested and counted in time.
    pub(crate) total: Option<u64>,
}

/// The tasks that may pass a filter, according to their grams.
enum Candidates {
    /// All tasks: the filter has no words.
    Any,
    Few(Vec<Uuid>),
    /// More than [`MAX_CANDIDATES`].
    Many,
}

/// A page of the tasks of `owner`.
///
/// # Errors
/// When the cursor is of another query, the database fails, or it takes too long.
pub(crate) async fn list(
    database: &Database,
    key: &CursorKey,
    owner: UserId,
    listing: &Listing,
    now: Timestamp,
) -> Result<Listed, QueryError> {
    let Listing { filter, sort, limit, cursor, count } = listing;
    let after: Option<TaskCursor> =
        cursor.as_deref().map(|cursor| TaskCursor::read(key, cursor, owner, filter, *sort)).transpose()?;
    let page = Page {
        owner,
        filter,
        sort: *sort,
        after: after.as_ref(),
        // One more row than wanted shows whether there is a next page.
        rows: limit + 1,
        now,
    };
    let reading = async {
        let candidates = candidates(database, owner, filter).await?;
        let (mut rows, mut end) = read(database, page, &candidates).await?;
        if let Some(last) = cut_page_of_texts(&mut rows, *limit, row::bytes) {
            end = Some(row::place(last, *sort)?);
        }
        Ok::<_, DatabaseError>((candidates, rows, end))
    };
    let (candidates, rows, end) = timeout(TIMEOUT, reading).await.map_err(|_| QueryError::TooSlow)??;
    let total = if *count { total(database, page, &candidates).await? } else { None };
    Ok(Listed { rows, next_cursor: end.map(|end| end.write(key, owner, filter, *sort)), total })
}

/// The tasks that have all grams of the words.
async fn candidates(
    database: &Database,
    owner: UserId,
    filter: &Filter,
) -> Result<Candidates, DatabaseError> {
    if filter.words.is_empty() {
        return Ok(Candidates::Any);
    }
    let statement = Statement::candidates(Dialect::of(database), owner, filter);
    let rows = database.fetch_all(&statement.text, &statement.values).await?;
    if rows.len() > MAX_CANDIDATES {
        return Ok(Candidates::Many);
    }
    let ids: Result<_, _> = rows.iter().map(|row| row.uuid(0)).collect();
    Ok(Candidates::Few(ids?))
}

/// The rows of a page, and its end, when it has fewer rows than wanted although there may be more.
async fn read(
    database: &Database,
    page: Page<'_>,
    candidates: &Candidates,
) -> Result<(Vec<Row>, Option<TaskCursor>), DatabaseError> {
    let dialect = Dialect::of(database);
    let statement = match candidates {
        Candidates::Any | Candidates::Many => Statement::page(dialect, page),
        Candidates::Few(ids) if ids.is_empty() => return Ok((Vec::new(), None)),
        Candidates::Few(ids) => Statement::page_among(dialect, page, ids),
    };
    let mut rows = database.fetch_all(&statement.text, &statement.values).await?;
    let end = match rows.last() {
        Some(last) if row::is_end(last)? => Some(row::place(last, page.sort)?),
        _ => None,
    };
    if end.is_some() {
        rows.pop();
    }
    Ok((rows, end))
}

/// The number of tasks that pass the filter of `page`, unless counting takes too long.
async fn total(
    database: &Database,
    page: Page<'_>,
    candidates: &Candidates,
) -> Result<Option<u64>, DatabaseError> {
    let Page { owner, filter, now, .. } = page;
    let dialect = Dialect::of(database);
    let statement = match candidates {
        Candidates::Few(ids) => Statement::count_among(dialect, owner, filter, now, ids),
        Candidates::Any | Candidates::Many => Statement::count(dialect, owner, filter, now),
    };
    let counting = database.fetch_optional(&statement.text, &statement.values);
    match timeout(COUNT_TIMEOUT, counting).await {
        Ok(row) => row?.map(|row| row.unsigned("total")).transpose(),
        Err(_) => Ok(None),
    }
}

/// The row of the task `id`, for [`task_of`](super::task_of), if it is there, not in the trash, and belongs to `owner`.
pub(crate) async fn find(
    database: &Database,
    owner: UserId,
    id: TaskId,
) -> Result<Option<Row>, DatabaseError> {
    let sql = format!("SELECT {COLUMNS} FROM tasks WHERE id = $1 AND owner = $2 AND deleted_at IS NULL");
    database.fetch_optional(&sql, &[id.0.into(), owner.0.into()]).await
}

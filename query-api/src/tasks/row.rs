//! Rows of `tasks` as API tasks.

use api_types::BorrowedTask;
use database::{DatabaseError, Row};
use events::{TaskId, Timestamp};
use read_models::task_columns;

use super::{
    Sort, SortBy,
    cursor::{SortKey, TaskCursor},
};

/// The columns for [`task_of`], read by index: a page has many values, and finding columns by name takes time.
pub(super) const COLUMNS: &str = "id, title, description, status, priority, due, tags, created_at, updated_at, \
     completed_at, deleted_at, version";

/// The columns, in place of [`COLUMNS`], of a row that only marks the end of a page.
pub(super) const NOTHING: &str = "id, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL";

/// The task of a row. The projector has written most columns just as the API shows them.
pub(crate) fn task_of(row: &Row) -> Result<BorrowedTask<'_>, DatabaseError> {
    let instant = |micros: Option<i64>| micros.map(Timestamp::from_micros);
    Ok(BorrowedTask {
        id: TaskId(row.uuid(0)?),
        title: row.str(1)?,
        description: row.optional_str(2)?,
        status: task_columns::status(row.str(3)?)?,
        priority: task_columns::priority(row.integer(4)?)?,
        due: row.optional_str(5)?.map(due).transpose()?,
        tags: task_columns::raw_tags(row.str(6)?)?,
        created_at: Timestamp::from_micros(row.integer(7)?),
        updated_at: Timestamp::from_micros(row.integer(8)?),
        completed_at: instant(row.optional_integer(9)?),
        deleted_at: instant(row.optional_integer(10)?),
        version: row.unsigned(11)?,
    })
}

/// The bytes of the texts in a row.
pub(super) fn bytes(row: &Row) -> u64 {
    let texts = [row.optional_str(1), row.optional_str(2), row.optional_str(6)];
    let lengths = texts.into_iter().flatten().flatten().map(|text| text.len() as u64);
    lengths.sum()
}

/// Whether a row only marks the end of a page.
pub(super) fn is_end(row: &Row) -> Result<bool, DatabaseError> {
    Ok(row.integer("is_end")? == 1)
}

/// The place of a row in an order: the value of [`Sort::column`], selected as `place`.
pub(super) fn place(row: &Row, sort: Sort) -> Result<TaskCursor, DatabaseError> {
    let key = match sort.by {
        SortBy::CreatedAt | SortBy::UpdatedAt | SortBy::Due | SortBy::Priority => {
            SortKey::Number(row.integer("place")?)
        }
        SortBy::Title => SortKey::Text(row.text("place")?),
    };
    Ok(TaskCursor { key, id: TaskId(row.uuid("id")?) })
}

/// The due date is stored as it is shown.
fn due(text: &str) -> Result<&str, DatabaseError> {
    task_columns::due(text).map(|_| text)
}

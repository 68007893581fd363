//! Rows of `tasks` as the API shows them.

use api_types::BorrowedTask;
use database::{DatabaseError, Row};
use events::{Due, Priority, Status, TaskId, Timestamp};
use serde_json::value::RawValue;

use super::{
    Sort, SortBy,
    cursor::{Place, SortKey},
};

/// What [`task_of`] reads, by place: a page is fifty times as many values, and looking each up by name took a
/// while.
pub(super) const COLUMNS: &str = "id, title, description, status, priority, due, tags, created_at, updated_at, \
     completed_at, deleted_at, version";

/// In the place of [`COLUMNS`] in a row that only says where a page ends.
pub(super) const NOTHING: &str = "id, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL";

/// The task of a row. The projector has written most columns just as the API shows them.
///
/// # Errors
/// When it is not as the projector writes it.
pub(crate) fn task_of(row: &Row) -> Result<BorrowedTask<'_>, DatabaseError> {
    let instant = |micros: Option<i64>| micros.map(Timestamp::from_micros);
    Ok(BorrowedTask {
        id: TaskId(row.uuid(0)?),
        title: row.str(1)?,
        description: row.optional_str(2)?,
        status: status(row.str(3)?)?,
        priority: priority(row.integer(4)?)?,
        due: row.optional_str(5)?.map(due).transpose()?,
        tags: tags(row.str(6)?)?,
        created_at: Timestamp::from_micros(row.integer(7)?),
        updated_at: Timestamp::from_micros(row.integer(8)?),
        completed_at: instant(row.optional_integer(9)?),
        deleted_at: instant(row.optional_integer(10)?),
        version: row.unsigned(11)?,
    })
}

/// Whether a row only says where a page ends.
pub(super) fn is_end(row: &Row) -> Result<bool, DatabaseError> {
    Ok(row.integer("is_end")? == 1)
}

/// The place of a row in an order: the value of [`Sort::column`], selected as `place`.
pub(super) fn place(row: &Row, sort: Sort) -> Result<Place, DatabaseError> {
    let key = match sort.by {
        SortBy::CreatedAt | SortBy::UpdatedAt | SortBy::Due | SortBy::Priority => {
            SortKey::Number(row.integer("place")?)
        }
        SortBy::Title => SortKey::Text(row.text("place")?),
    };
    Ok(Place {
        key,
        id: TaskId(row.uuid("id")?),
    })
}

fn priority(rank: i64) -> Result<Priority, DatabaseError> {
    Priority::ranked(rank)
        .ok_or_else(|| DatabaseError::Unexpected(format!("{rank} as the priority of a task")))
}

fn status(name: &str) -> Result<Status, DatabaseError> {
    Status::named(name).ok_or_else(|| DatabaseError::Unexpected(format!("`{name}` as the status of a task")))
}

fn due(text: &str) -> Result<&str, DatabaseError> {
    match text.parse::<Due>() {
        Ok(_) => Ok(text),
        Err(error) => Err(DatabaseError::Unexpected(format!("when a task is due: {error}"))),
    }
}

fn tags(json: &str) -> Result<&RawValue, DatabaseError> {
    serde_json::from_str::<&RawValue>(json)
        .ok()
        .filter(|tags| tags.get().starts_with('['))
        .ok_or_else(|| DatabaseError::Unexpected(format!("{json} as the tags of a task")))
}

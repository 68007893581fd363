//! The history of one task, and its earlier states. The cost of a page or a state in `task_history` does not depend
//! on the length of the history.

use api_types::BorrowedHistoryItem;
use database::{Database, DatabaseError, Row};
use events::{Task, TaskId, Timestamp, UserId};
use http_api::{BadCursor, CursorKey};
use read_models::{TaskChange, cut_page_of_texts};
use serde::{Serialize, de::DeserializeOwned};

use super::error::QueryError;

const PURPOSE: &str = "task history";

/// The end of a page of a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HistoryCursor {
    version: u64,
}

#[derive(Serialize)]
struct Binding {
    owner: UserId,
    task: TaskId,
}

impl HistoryCursor {
    fn write(self, key: &CursorKey, owner: UserId, task: TaskId) -> String {
        let binding = Binding { owner, task };
        key.seal(PURPOSE, &binding, self.version.to_be_bytes().to_vec())
    }

    /// Reads a cursor of the history of this task for this person.
    pub(crate) fn read(
        key: &CursorKey,
        cursor: &str,
        owner: UserId,
        task: TaskId,
    ) -> Result<Self, BadCursor> {
        let bytes = key.open(PURPOSE, &Binding { owner, task }, cursor)?;
        let version = bytes.try_into().map_err(|_| BadCursor)?;
        Ok(Self { version: u64::from_be_bytes(version) })
    }
}

/// The wanted state of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    Version(u64),
    AsOf(Timestamp),
}

#[derive(Debug)]
pub(crate) struct History {
    /// Oldest first, with the columns that [`COLUMNS`] names.
    pub(crate) rows: Vec<Row>,
    pub(crate) next_cursor: Option<String>,
}

const COLUMNS: &str = "version, position, type, actor, recorded_at, correlation_id, changes";

/// A page of the history of the task, which may be in the trash. It has fewer rows than `limit` if they are long: their
/// sizes are read first, so that no more is read than is shown.
///
/// # Errors
/// When `owner` has no such task, or the database fails.
pub(crate) async fn history(
    database: &Database,
    key: &CursorKey,
    owner: UserId,
    task: TaskId,
    after: Option<HistoryCursor>,
    limit: u16,
) -> Result<History, QueryError> {
    current_version(database, owner, task).await?;
    let start = after.map_or(0, |place| place.version);
    let mut sizes = Vec::new();
    for row in database.fetch_all(&sizes_statement(limit), &[task.0.into(), start.into()]).await? {
        sizes.push((row.unsigned("version")?, row.unsigned("bytes")?));
    }
    if after.is_none() && sizes.first().map(|(version, _)| *version) != Some(1) {
        return Err(QueryError::HistoryIncomplete);
    }
    let end = cut_page_of_texts(&mut sizes, limit, |(_, bytes)| *bytes).copied();
    let rows = match sizes.last() {
        Some((last, _)) => {
            let values = [task.0.into(), start.into(), (*last).into()];
            database.fetch_all(&statement(), &values).await?
        }
        None => Vec::new(),
    };
    let next_cursor = end.map(|(version, _)| HistoryCursor { version }.write(key, owner, task));
    Ok(History { rows, next_cursor })
}

/// The item of a row with these columns. The projector has written the changes just as the API shows them.
pub(crate) fn history_item_of(row: &Row) -> Result<BorrowedHistoryItem<'_>, DatabaseError> {
    Ok(BorrowedHistoryItem {
        version: row.unsigned("version")?,
        position: row.unsigned("position")?,
        r#type: row.str("type")?,
        actor: row.str("actor")?,
        recorded_at: Timestamp::from_micros(row.integer("recorded_at")?),
        correlation_id: row.str("correlation_id")?,
        changes: serde_json::from_str(row.str("changes")?)
            .map_err(|error| DatabaseError::Unexpected(format!("changes of a task: {error}")))?,
    })
}

/// Reads one range of the index of versions, without the texts.
pub(super) fn sizes_statement(limit: u16) -> String {
    format!(
        "SELECT version, CAST(octet_length(changes) AS BIGINT) AS bytes FROM task_history
         WHERE task = $1 AND version > $2 ORDER BY version LIMIT {}",
        u32::from(limit) + 1
    )
}

/// Reads one range of the index of versions.
pub(super) fn statement() -> String {
    format!(
        "SELECT {COLUMNS} FROM task_history WHERE task = $1 AND version > $2 AND version <= $3 ORDER BY version"
    )
}

/// The task as it was. It may be in the trash, now or then.
///
/// # Errors
/// When `owner` did not have it at that time, or the database fails.
pub(crate) async fn past_task(
    database: &Database,
    owner: UserId,
    task: TaskId,
    moment: Moment,
) -> Result<api_types::Task, QueryError> {
    let current = current_version(database, owner, task).await?;
    let version = match moment {
        Moment::Version(version) if version > current => return Err(QueryError::NotFound),
        Moment::Version(version) => version,
        Moment::AsOf(instant) => version_at(database, task, instant).await?,
    };
    let rows = database.fetch_all(LEADING_TO, &[task.0.into(), version.into()]).await?;
    let mut rows = rows.into_iter();
    let first = rows.next().ok_or(QueryError::HistoryIncomplete)?;
    let mut past = match first.optional_str("state")? {
        Some(state) => json(state)?,
        None if first.unsigned("version")? == 1 => {
            step(Task::blank(task, Timestamp::from_micros(first.integer("recorded_at")?)), &first)?
        }
        None => return Err(QueryError::HistoryIncomplete),
    };
    for row in rows {
        past = step(past, &row)?;
    }
    // An event that an operator discarded changed only the version.
    past.version = version;
    past.owner = owner;
    Ok((&past).into())
}

/// Reads the rows from the last whole state on.
pub(super) const LEADING_TO: &str = "SELECT version, recorded_at, changes, state FROM task_history
    WHERE task = $1 AND version <= $2 AND version >= COALESCE(
        (SELECT MAX(version) FROM task_history WHERE task = $1 AND version <= $2 AND state IS NOT NULL), 0
    ) ORDER BY version";

pub(super) const VERSION_AT: &str = "SELECT version FROM task_history WHERE task = $1 AND recorded_at <= $2
    ORDER BY recorded_at DESC, version DESC LIMIT 1";

async fn version_at(database: &Database, task: TaskId, instant: Timestamp) -> Result<u64, QueryError> {
    let values = [task.0.into(), instant.as_micros().into()];
    let row = database.fetch_optional(VERSION_AT, &values).await?;
    Ok(row.ok_or(QueryError::NotFound)?.unsigned("version")?)
}

/// The present version of the task, if `owner` has it, in the trash or not.
async fn current_version(database: &Database, owner: UserId, task: TaskId) -> Result<u64, QueryError> {
    let sql = "SELECT version FROM tasks WHERE id = $1 AND owner = $2";
    let row = database.fetch_optional(sql, &[task.0.into(), owner.0.into()]).await?;
    Ok(row.ok_or(QueryError::NotFound)?.unsigned("version")?)
}

fn step(past: Task, row: &Row) -> Result<Task, DatabaseError> {
    let changes = json(row.str("changes")?)?;
    let at = Timestamp::from_micros(row.integer("recorded_at")?);
    Ok(TaskChange::apply(changes, past, row.unsigned("version")?, at))
}

fn json<T: DeserializeOwned>(text: &str) -> Result<T, DatabaseError> {
    serde_json::from_str(text)
        .map_err(|error| DatabaseError::Unexpected(format!("a row of task_history: {error}")))
}

//! The history of one task, and its earlier states. The cost of a page or a state in `task_history` does not depend
//! on the length of the history.

use api_types::{BorrowedHistoryItem, Task};
use database::{Database, DatabaseError, Row};
use events::{TaskId, Timestamp, UserId};
use http_api::{BadCursor, CursorKey};
use read_models::{PastTask, cut_page};
use serde::{Serialize, de::DeserializeOwned};

const PURPOSE: &str = "task history";

/// The end of a page of a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HistoryPlace {
    version: u64,
}

#[derive(Serialize)]
struct Binding {
    owner: UserId,
    task: TaskId,
}

impl HistoryPlace {
    fn write(self, key: &CursorKey, owner: UserId, task: TaskId) -> String {
        let binding = Binding { owner, task };
        key.seal(PURPOSE, &binding, self.version.to_be_bytes().to_vec())
    }

    /// Reads a cursor of the history of this task for this person.
    ///
    /// # Errors
    /// When it is invalid.
    pub(crate) fn read(
        key: &CursorKey,
        cursor: &str,
        owner: UserId,
        task: TaskId,
    ) -> Result<Self, BadCursor> {
        let bytes = key.open(PURPOSE, &Binding { owner, task }, cursor)?;
        let version = bytes.try_into().map_err(|_| BadCursor)?;
        Ok(Self {
            version: u64::from_be_bytes(version),
        })
    }
}

/// The wanted state of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// The state at this version.
    Version(u64),
    /// The state at this instant.
    AsOf(Timestamp),
}

/// A page of a history.
#[derive(Debug)]
pub(crate) struct History {
    /// Oldest first, with the columns that [`COLUMNS`] names.
    pub(crate) rows: Vec<Row>,
    pub(crate) next_cursor: Option<String>,
}

/// Why the history cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HistoryError {
    /// There is no such task of this person, or it did not exist yet.
    #[error("there is no such task")]
    NotFound,
    /// The task was projected by a release that kept no history.
    #[error("the history of the task is not complete")]
    Incomplete,
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

const COLUMNS: &str = "version, position, type, actor, recorded_at, correlation_id, changes";

/// A page of the history of the task, which may be in the trash.
///
/// # Errors
/// When `owner` has no such task, or the database fails.
pub(crate) async fn history(
    database: &Database,
    key: &CursorKey,
    owner: UserId,
    task: TaskId,
    after: Option<HistoryPlace>,
    limit: u16,
) -> Result<History, HistoryError> {
    current_version(database, owner, task).await?;
    let values = [task.0.into(), after.map_or(0, |place| place.version).into()];
    let mut rows = database.fetch_all(&statement(limit), &values).await?;
    if after.is_none() && rows.first().map(|row| row.unsigned("version")).transpose()? != Some(1) {
        return Err(HistoryError::Incomplete);
    }
    let end = cut_page(&mut rows, limit).map(|last| last.unsigned("version"));
    let next_cursor = end
        .transpose()?
        .map(|version| HistoryPlace { version }.write(key, owner, task));
    Ok(History { rows, next_cursor })
}

/// The item of a row with these columns. The projector has written the changes just as the API shows them.
///
/// # Errors
/// When it is not as the projector writes it.
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

/// Reads one range of the index of versions.
pub(super) fn statement(limit: u16) -> String {
    format!(
        "SELECT {COLUMNS} FROM task_history WHERE task = $1 AND version > $2 ORDER BY version LIMIT {}",
        u32::from(limit) + 1
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
) -> Result<Task, HistoryError> {
    let current = current_version(database, owner, task).await?;
    let version = match moment {
        Moment::Version(version) if version > current => return Err(HistoryError::NotFound),
        Moment::Version(version) => version,
        Moment::AsOf(instant) => version_at(database, task, instant).await?,
    };
    let rows = database
        .fetch_all(LEADING_TO, &[task.0.into(), version.into()])
        .await?;
    let mut rows = rows.into_iter();
    let first = rows.next().ok_or(HistoryError::Incomplete)?;
    let start = match first.optional_str("state")? {
        Some(state) => json(state)?,
        None if first.unsigned("version")? == 1 => step(
            PastTask::unborn(task, Timestamp::from_micros(first.integer("recorded_at")?)),
            &first,
        )?,
        None => return Err(HistoryError::Incomplete),
    };
    let mut past = start;
    for row in rows {
        past = step(past, &row)?;
    }
    // An event that an operator discarded changed only the version.
    past.version = version;
    Ok(shown(past))
}

/// A task of the past as the API shows tasks.
fn shown(past: PastTask) -> Task {
    // Destructured, so that the compiler reports a new field.
    let PastTask {
        id,
        title,
        description,
        status,
        priority,
        due,
        tags,
        created_at,
        updated_at,
        completed_at,
        deleted_at,
        version,
    } = past;
    Task {
        id,
        title,
        description,
        status,
        priority,
        due,
        tags,
        created_at,
        updated_at,
        completed_at,
        deleted_at,
        version,
    }
}

/// Reads the rows from the last whole state on.
pub(super) const LEADING_TO: &str = "SELECT version, recorded_at, changes, state FROM task_history
    WHERE task = $1 AND version <= $2 AND version >= COALESCE(
        (SELECT MAX(version) FROM task_history WHERE task = $1 AND version <= $2 AND state IS NOT NULL), 0
    ) ORDER BY version";

pub(super) const VERSION_AT: &str = "SELECT version FROM task_history WHERE task = $1 AND recorded_at <= $2
    ORDER BY recorded_at DESC, version DESC LIMIT 1";

async fn version_at(database: &Database, task: TaskId, instant: Timestamp) -> Result<u64, HistoryError> {
    let values = [task.0.into(), instant.as_micros().into()];
    let row = database.fetch_optional(VERSION_AT, &values).await?;
    Ok(row.ok_or(HistoryError::NotFound)?.unsigned("version")?)
}

/// The present version of the task, if `owner` has it, in the trash or not.
async fn current_version(database: &Database, owner: UserId, task: TaskId) -> Result<u64, HistoryError> {
    let sql = "SELECT version FROM tasks WHERE id = $1 AND owner = $2";
    let row = database
        .fetch_optional(sql, &[task.0.into(), owner.0.into()])
        .await?;
    Ok(row.ok_or(HistoryError::NotFound)?.unsigned("version")?)
}

fn step(past: PastTask, row: &Row) -> Result<PastTask, DatabaseError> {
    let at = Timestamp::from_micros(row.integer("recorded_at")?);
    Ok(past.after(json(row.str("changes")?)?, row.unsigned("version")?, at))
}

fn json<T: DeserializeOwned>(text: &str) -> Result<T, DatabaseError> {
    serde_json::from_str(text)
        .map_err(|error| DatabaseError::Unexpected(format!("a row of task_history: {error}")))
}

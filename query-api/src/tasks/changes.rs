//! The tasks that have changed since an earlier request, in the order of the log.
//!
//! A task has the position of its last event, and one person's events are projected in order, so a client that
//! continues from a position misses nothing. The exception are parked events, which are projected later with their
//! earlier positions. So no token is after the first parked event.

use database::{Database, Row};
use events::{LogPoint, TaskId, TaskPurged, UserId};
use read_models::{Projection, cut_page_of_texts};

use super::{
    change_token::{ChangeToken, event_at, first_parked},
    error::QueryError,
    row,
};

#[derive(Debug)]
pub(crate) struct Changes {
    /// The changed tasks as they are now, including those in the trash. [`task_of`](super::task_of) reads each.
    pub(crate) rows: Vec<Row>,
    pub(crate) purged: Vec<TaskId>,
    /// The token for the next request.
    pub(crate) next: ChangeToken,
    pub(crate) more: bool,
}

/// Up to `limit` tasks of `owner` that have changed since.
///
/// # Errors
/// When the token is from another log, or the database or the log cannot be read.
pub(crate) async fn changes(
    database: &Database,
    projection: &Projection,
    owner: UserId,
    since: ChangeToken,
    limit: u16,
) -> Result<Changes, QueryError> {
    if !projection.log_has(since.seen).await? {
        return Err(QueryError::OtherLog);
    }
    // Both statements see one state: an event that is parked in the first must not be projected in the second.
    let mut tx = database.snapshot().await?;
    let first_parked = first_parked(&mut tx, owner).await?;
    let mut rows = tx.fetch_all(&statement(limit), &[owner.0.into(), since.after.into()]).await?;
    let mut purged = tx.fetch_all(&purged_statement(limit), &[owner.0.into(), since.after.into()]).await?;
    let mut changed = Vec::with_capacity(rows.len() + purged.len());
    for row in &rows {
        changed.push((row.unsigned("position")?, row::bytes(row)));
    }
    for row in &purged {
        changed.push((row.unsigned("position")?, 0));
    }
    changed.sort_unstable();
    let more = cut_page_of_texts(&mut changed, limit, |(_, bytes)| *bytes).is_some();
    let last = changed.last().map(|(position, _)| *position);
    for rows in [&mut rows, &mut purged] {
        keep_up_to(last, rows);
    }
    let purged: Result<_, _> = purged.iter().map(|row| row.uuid("task").map(TaskId)).collect();
    let seen = match last {
        Some(position) => LogPoint { position, id: event_at(&mut tx, position).await? },
        None => since.seen,
    };
    tx.commit().await?;
    let complete_to = since.complete_to.min(first_parked.map_or(u64::MAX, |first| first.saturating_sub(1)));
    let after = last.unwrap_or(since.after);
    let (after, complete_to) = match more {
        true => (after, complete_to),
        false => (after.min(complete_to), u64::MAX),
    };
    let next = ChangeToken { after, complete_to, seen };
    Ok(Changes { rows, purged: purged?, next, more })
}

/// Takes away the rows after the position `last`, in whose order they are.
fn keep_up_to(last: Option<u64>, rows: &mut Vec<Row>) {
    let is_told = |row: &&Row| last.is_some_and(|last| row.unsigned("position").is_ok_and(|at| at <= last));
    let told = rows.iter().filter(is_told).count();
    rows.truncate(told);
}

/// Reads one range of the index of purged tasks, which databases use only if the type is in the text of the
/// statement.
pub(super) fn purged_statement(limit: u16) -> String {
    format!(
        "SELECT task, position FROM task_history WHERE owner = $1 AND position > $2 AND type = '{}'
         ORDER BY position LIMIT {}",
        TaskPurged::KIND,
        u32::from(limit) + 1
    )
}

/// Reads one range of the index in the order of positions.
pub(super) fn statement(limit: u16) -> String {
    format!(
        "SELECT {}, position FROM tasks WHERE owner = $1 AND position > $2 ORDER BY position LIMIT {}",
        row::COLUMNS,
        u32::from(limit) + 1
    )
}

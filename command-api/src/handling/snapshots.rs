//! States of tasks with many events, so that nobody folds a long stream from its beginning. Each can be deleted at any
//! time. None is trusted before its last event was found in the log.

use std::time::Duration;

use database::{Database, DatabaseError};
use events::TaskId;
use tokio::time::timeout;

use super::{KeptTask, TaskState};

/// The meaning of what is kept. To be raised when the fold of tasks changes, so that what an older one made is ignored.
const FOLD: i64 = 1;
/// No command waits longer for a snapshot, which it can do without.
const PATIENCE: Duration = Duration::from_secs(1);

/// The table of snapshots.
#[derive(Debug, Clone)]
pub(super) struct Snapshots(Database);

impl Snapshots {
    pub(super) fn new(operations: Database) -> Self {
        Self(operations)
    }

    /// What was last kept of `task`.
    pub(super) async fn find(&self, task: TaskId) -> Option<KeptTask> {
        match timeout(PATIENCE, self.read(task)).await {
            Ok(Ok(kept)) => kept,
            Ok(Err(error)) => {
                tracing::warn!(task.id = %task, error, "cannot read the snapshot of a task, doing without");
                None
            }
            Err(_) => None,
        }
    }

    /// Keeps `state` in place of an older one.
    pub(super) async fn put(&self, state: &TaskState) {
        match timeout(PATIENCE, self.write(state)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(task.id = %state.task.id, error, "cannot keep a snapshot of a task");
            }
            Err(_) => tracing::warn!(task.id = %state.task.id, "cannot keep a snapshot of a task in time"),
        }
    }

    async fn read(&self, task: TaskId) -> Result<Option<KeptTask>, String> {
        const SQL: &str = "SELECT state FROM task_snapshots WHERE task_id = $1 AND fold = $2";
        let row = self.0.fetch_optional(SQL, &[task.0.into(), FOLD.into()]).await;
        let Some(row) = row.map_err(|error| error.to_string())? else {
            return Ok(None);
        };
        let state = row.text("state").map_err(|error| error.to_string())?;
        serde_json::from_str(&state).map_err(|error| error.to_string())
    }

    async fn write(&self, state: &TaskState) -> Result<(), String> {
        // Where a log was restored the newer one may have the smaller version, so that the last one written counts.
        const SQL: &str = "INSERT INTO task_snapshots (task_id, owner, fold, version, state) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (task_id) DO UPDATE \
             SET owner = excluded.owner, fold = excluded.fold, version = excluded.version, state = excluded.state";
        let kept = serde_json::to_string(&KeptTask::of(state)).map_err(|error| error.to_string())?;
        let values = [
            state.task.id.0.into(),
            state.task.owner.0.into(),
            FOLD.into(),
            state.end.version.into(),
            kept.into(),
        ];
        let written = self.0.execute(SQL, &values).await;
        written.map(drop).map_err(|error| error.to_string())
    }
}

/// So many are kept, some 50 MB.
const MOST: u64 = 100_000;
/// Rows deleted at once, so that nobody waits long for a lock.
const ROWS: u64 = 1_000;

/// Deletes the snapshots of the shortest streams beyond a number of them, and those of an older fold, and returns how
/// many there were.
///
/// # Errors
/// When the database fails.
pub async fn clean_up_snapshots(operations: &Database) -> Result<u64, DatabaseError> {
    const SQL: &str = "DELETE FROM task_snapshots WHERE task_id IN \
         (SELECT task_id FROM task_snapshots ORDER BY version DESC LIMIT $1 OFFSET $2)";
    const OLD: &str = "DELETE FROM task_snapshots WHERE fold <> $1";
    let mut total = operations.execute(OLD, &[FOLD.into()]).await?;
    loop {
        let deleted = operations.execute(SQL, &[ROWS.into(), MOST.into()]).await?;
        total += deleted;
        if deleted < ROWS {
            return Ok(total);
        }
    }
}

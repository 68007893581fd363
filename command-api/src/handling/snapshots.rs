//! States of tasks with many events, so that nobody folds a long stream from its beginning. Each can be deleted at any
//! time. None is trusted before its last event was found in the log.

use aggregate::{SnapshotSql, SnapshotTable};
use database::{Database, DatabaseError};
use events::TaskId;

use super::{KeptTask, TaskState};

/// Some 50 MB.
const SQL: SnapshotSql = SnapshotSql {
    of: "task",
    fold: 1,
    most: 100_000,
    table: "task_snapshots",
    key: "task_id",
    put: "INSERT INTO task_snapshots (fold, task_id, owner, version, state) \
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT (task_id) DO UPDATE \
         SET owner = excluded.owner, fold = excluded.fold, version = excluded.version, state = excluded.state",
};

/// The table of snapshots.
#[derive(Debug, Clone)]
pub(super) struct Snapshots(SnapshotTable);

impl Snapshots {
    pub(super) const fn new(operations: Database) -> Self {
        Self(SnapshotTable::new(operations, SQL))
    }

    /// What was last kept of `task`. What cannot be read is as good as none.
    pub(super) async fn find(&self, task: TaskId) -> Option<KeptTask> {
        serde_json::from_str(&self.0.find(task.0).await?).ok()
    }

    /// Keeps `state` in place of an older one.
    pub(super) async fn put(&self, state: &TaskState) {
        let Ok(kept) = serde_json::to_string(&KeptTask::of(state)) else {
            return;
        };
        let (task, version) = (&state.task, state.end.version);
        let values = [task.id.0.into(), task.owner.0.into(), version.into(), kept.into()];
        self.0.put(task.id, values).await;
    }
}

/// Deletes the snapshots of the shortest streams beyond a number of them, and those of an older fold, and returns how
/// many there were.
///
/// # Errors
/// When the database fails.
pub async fn clean_up_snapshots(operations: &Database) -> Result<u64, DatabaseError> {
    SnapshotTable::new(operations.clone(), SQL).clean_up().await
}

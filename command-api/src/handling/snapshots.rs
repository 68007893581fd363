//! Stored states of tasks with many events, which make it unnecessary to fold a long stream from its first event.
//! They can be deleted at any time. A snapshot is used only if the log has its last event.

use std::sync::Arc;

use aggregate::{SnapshotSql, SnapshotTable, Snapshots};
use async_trait::async_trait;
use database::{Database, DatabaseError};
use event_store::EventStore;
use events::TaskId;

use super::{
    KeptTask, TaskState,
    task_state::{FoldedTask, LoadedTask},
};

/// About 50 MB.
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

/// The table of snapshots, and the log with the texts.
pub(super) struct TaskSnapshots {
    table: SnapshotTable,
    store: Arc<dyn EventStore>,
}

impl TaskSnapshots {
    pub(super) fn new(operations: Database, store: Arc<dyn EventStore>) -> Self {
        Self { table: SnapshotTable::new(operations, SQL), store }
    }
}

#[async_trait]
impl Snapshots<FoldedTask> for TaskSnapshots {
    /// A snapshot that cannot be read counts as none.
    async fn find(&self, id: &TaskId) -> Option<LoadedTask> {
        let kept: KeptTask = serde_json::from_str(&self.table.find(id.0).await?).ok()?;
        // If the log cannot be read, folding the stream reports that.
        let state = kept.restore(&*self.store).await.ok()?;
        state.map(LoadedTask::from)
    }

    async fn put(&self, id: &TaskId, loaded: &LoadedTask) {
        let Some(state) = TaskState::of(loaded) else {
            return;
        };
        let Ok(kept) = serde_json::to_string(&KeptTask::of(&state)) else {
            return;
        };
        let (owner, version) = (state.task.owner.0, state.end.version);
        let values = [id.0.into(), owner.into(), version.into(), kept.into()];
        self.table.put(id, values).await;
    }
}

/// Deletes the snapshots of the shortest streams beyond a number of them, and those of an older fold, and returns how
/// many were deleted.
pub(crate) async fn clean_up_snapshots(operations: &Database) -> Result<u64, DatabaseError> {
    SnapshotTable::new(operations.clone(), SQL).clean_up().await
}

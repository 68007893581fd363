//! What becomes of tasks: counts, changes since an earlier look, and the history of one. Tasks and items may be
//! [borrowed](crate::BorrowedTask) ones.

use events::{TaskId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Task, stand_ins};

/// How many tasks there are, without those in the trash.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TaskSummary {
    /// All of them.
    pub total: u64,
    /// By where they stand.
    #[schema(inline)]
    pub by_status: TasksByStatus,
    /// By how urgent they are.
    #[schema(inline)]
    pub by_priority: TasksByPriority,
    /// Due in the past, and neither done nor cancelled.
    pub overdue: u64,
    /// Due on the present day in UTC, and neither done nor cancelled.
    pub due_today: u64,
    /// Finished within the last seven times 24 hours, and still done.
    pub completed_last_7_days: u64,
}

/// So many tasks of each status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the fields are the statuses")]
pub struct TasksByStatus {
    pub open: u64,
    pub in_progress: u64,
    pub done: u64,
    pub cancelled: u64,
}

/// So many tasks of each priority.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the fields are the priorities")]
pub struct TasksByPriority {
    pub low: u64,
    pub normal: u64,
    pub high: u64,
    pub urgent: u64,
}

/// What has changed since an earlier look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TaskChanges<T = Task> {
    /// The tasks that have changed and are not in the trash, as they are now.
    #[schema(max_items = 100, value_type = Vec<Task>)]
    pub changed: Vec<T>,
    /// Those that have changed and are in the trash.
    #[schema(max_items = 100, value_type = Vec<stand_ins::Id>)]
    pub deleted: Vec<TaskId>,
    /// Send it as `since` to learn what changes from here on.
    pub next: String,
    /// Whether there is more to tell already: ask again at once.
    pub more: bool,
}

/// A part of the history of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TaskHistory<T = HistoryItem> {
    /// What happened, the oldest first.
    #[schema(max_items = 100, value_type = Vec<HistoryItem>)]
    pub items: Vec<T>,
    /// Send it as `cursor` to read on; `null` at the end.
    #[schema(required = true)]
    pub next_cursor: Option<String>,
}

/// One thing that happened to a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HistoryItem {
    /// The version of the task after it.
    #[schema(minimum = 1)]
    pub version: u64,
    /// Its place in the log.
    #[schema(minimum = 1)]
    pub position: u64,
    /// What happened, such as `task.renamed`.
    pub r#type: String,
    /// Who did it: the id of a person, `operator` or `system`.
    pub actor: String,
    /// When.
    #[schema(value_type = stand_ins::Instant)]
    pub recorded_at: Timestamp,
    /// The request that caused it.
    pub correlation_id: String,
    /// What it changed.
    pub changes: Vec<FieldChange>,
}

/// The data of an event of a stream: an item of a history, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskEvent<T = HistoryItem> {
    /// The task.
    pub task: TaskId,
    /// What happened to it.
    #[serde(flatten)]
    pub item: T,
}

/// What became of one field of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldChange {
    /// Which: `title`, `description`, `status`, `priority`, `due`, `tags`, `completed_at` or `deleted_at`.
    pub field: String,
    /// Its value before; `null` when there was none.
    pub from: serde_json::Value,
    /// Its value after.
    pub to: serde_json::Value,
}

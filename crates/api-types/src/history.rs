//! The summary of tasks, changes since an earlier request, and the history of one task. Tasks and items may be
//! [borrowed](crate::BorrowedTask) ones.

use events::{TaskId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Task, stand_ins};

/// The numbers of tasks, without those in the trash.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TaskSummary {
    /// The number of all tasks.
    pub total: u64,
    /// The numbers by status.
    #[schema(inline)]
    pub by_status: TasksByStatus,
    /// The numbers by priority.
    #[schema(inline)]
    pub by_priority: TasksByPriority,
    /// The number of tasks due in the past that are neither done nor cancelled.
    pub overdue: u64,
    /// The number of tasks due today in UTC that are neither done nor cancelled.
    pub due_today: u64,
    /// The number of tasks completed within the last seven times 24 hours that are still done.
    pub completed_last_7_days: u64,
}

/// The number of tasks of each status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the fields are the statuses")]
pub struct TasksByStatus {
    pub open: u64,
    pub in_progress: u64,
    pub done: u64,
    pub cancelled: u64,
}

/// The number of tasks of each priority.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the fields are the priorities")]
pub struct TasksByPriority {
    pub low: u64,
    pub normal: u64,
    pub high: u64,
    pub urgent: u64,
}

/// The tasks that have changed since an earlier request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TaskChanges<T = Task> {
    /// The tasks that have changed and are not in the trash, as they are now.
    #[schema(max_items = 100, value_type = Vec<Task>)]
    pub changed: Vec<T>,
    /// The ids of tasks that have changed and are in the trash.
    #[schema(max_items = 100, value_type = Vec<stand_ins::Id>)]
    pub deleted: Vec<TaskId>,
    /// Send it as `since` to get later changes.
    pub next: String,
    /// Whether there are more changes already, so that the client should ask again at once.
    pub more: bool,
}

/// A page of the history of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TaskHistory<T = HistoryItem> {
    /// The events, the oldest first.
    #[schema(max_items = 100, value_type = Vec<HistoryItem>)]
    pub items: Vec<T>,
    /// Send it as `cursor` to get the next page; `null` at the end.
    #[schema(required = true)]
    pub next_cursor: Option<String>,
}

/// One event of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HistoryItem {
    /// The version of the task after the event.
    #[schema(minimum = 1)]
    pub version: u64,
    /// The position of the event in the log.
    #[schema(minimum = 1)]
    pub position: u64,
    /// The type of the event, such as `task.renamed`.
    pub r#type: String,
    /// Who did it: the id of a person, `operator` or `system`.
    pub actor: String,
    /// When it was recorded.
    #[schema(value_type = stand_ins::Instant)]
    pub recorded_at: Timestamp,
    /// The id of the request that caused it.
    pub correlation_id: String,
    /// The changed fields.
    pub changes: Vec<FieldChange>,
}

/// The data of an event in a stream: an item of a history, and its task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskEvent<T = HistoryItem> {
    /// The id of the task.
    pub task: TaskId,
    /// The event.
    #[serde(flatten)]
    pub item: T,
}

/// The change of one field of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldChange {
    /// The field: `title`, `description`, `status`, `priority`, `due`, `tags`, `completed_at` or `deleted_at`.
    pub field: String,
    /// Its value before; `null` when there was none.
    pub from: serde_json::Value,
    /// Its value after.
    pub to: serde_json::Value,
}

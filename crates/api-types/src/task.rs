//! Tasks in requests and answers. Tasks of a page may be [borrowed](crate::BorrowedTask) ones.

use events::{Due, Priority, Status, TaskId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::stand_ins;

/// A task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Task {
    /// The id of the task.
    #[schema(value_type = stand_ins::Id)]
    pub id: TaskId,
    /// The title.
    #[schema(min_length = 1, max_length = 200)]
    pub title: String,
    /// The description.
    #[schema(required = true, max_length = 10_000)]
    pub description: Option<String>,
    /// The status.
    #[schema(value_type = stand_ins::Status)]
    pub status: Status,
    /// The priority.
    #[schema(value_type = stand_ins::Priority)]
    pub priority: Priority,
    /// When it is due.
    #[schema(required = true, value_type = Option<stand_ins::Due>)]
    pub due: Option<Due>,
    /// The tags, in the order given.
    #[schema(max_items = 20)]
    pub tags: Vec<String>,
    /// When it was created.
    #[schema(value_type = stand_ins::Instant)]
    pub created_at: Timestamp,
    /// When it last changed.
    #[schema(value_type = stand_ins::Instant)]
    pub updated_at: Timestamp,
    /// When it was completed, while it is done.
    #[schema(required = true, value_type = Option<stand_ins::Instant>)]
    pub completed_at: Option<Timestamp>,
    /// When it was moved to the trash, while it is there.
    #[schema(required = true, value_type = Option<stand_ins::Instant>)]
    pub deleted_at: Option<Timestamp>,
    /// The version, counted from 1; also its `ETag`.
    #[schema(minimum = 1)]
    pub version: u64,
}

impl From<&events::Task> for Task {
    fn from(task: &events::Task) -> Self {
        // The state is destructured, so that a new field is either shown or left out on purpose.
        let events::Task {
            id,
            owner: _,
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
        } = task;
        Self {
            id: *id,
            title: title.clone(),
            description: description.clone(),
            status: *status,
            priority: *priority,
            due: *due,
            tags: tags.clone(),
            created_at: *created_at,
            updated_at: *updated_at,
            completed_at: *completed_at,
            deleted_at: *deleted_at,
            version: *version,
        }
    }
}

/// A page of a list of tasks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TaskPage<T = Task> {
    /// The tasks, in the requested order.
    #[schema(max_items = 100, value_type = Vec<Task>)]
    pub items: Vec<T>,
    /// Send it as `cursor` with the same query to get the next page; `null` at the end.
    #[schema(required = true)]
    pub next_cursor: Option<String>,
    /// The number of tasks that match the filter, with `count=true`. It is left out when counting would take too
    /// long.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = u64)]
    pub total: Option<u64>,
}

/// A new task.
#[derive(Debug, Clone, PartialEq, Eq, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateTask {
    /// The title.
    #[schema(value_type = stand_ins::Title)]
    pub title: String,
    /// The description.
    #[schema(value_type = Option<stand_ins::Description>)]
    pub description: Option<String>,
    /// The priority; `normal` if it is left out.
    #[schema(value_type = stand_ins::Priority, required = false)]
    pub priority: Option<Priority>,
    /// When it is due.
    #[schema(value_type = Option<stand_ins::Due>)]
    pub due: Option<Due>,
    /// The tags, all different, in the order in which they are shown.
    #[schema(max_items = 20, value_type = Option<std::collections::BTreeSet<stand_ins::Tag>>)]
    pub tags: Option<Vec<String>>,
}

/// Changes of a task (JSON Merge Patch, RFC 7396): without a member the field stays, and `null` removes its value.
#[derive(Debug, Clone, Default, PartialEq, Eq, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeTask {
    /// The title.
    #[schema(value_type = stand_ins::Title, required = false)]
    pub title: Option<String>,
    /// The description; `null` removes it.
    #[schema(value_type = Option<stand_ins::Description>)]
    pub description: Option<Option<String>>,
    /// The priority.
    #[schema(value_type = stand_ins::Priority, required = false)]
    pub priority: Option<Priority>,
    /// When it is due; `null` removes it.
    #[schema(value_type = Option<stand_ins::Due>)]
    pub due: Option<Option<Due>>,
    /// All tags; `null` removes them.
    #[schema(value_type = Option<std::collections::BTreeSet<stand_ins::Tag>>, max_items = 20)]
    pub tags: Option<Option<Vec<String>>>,
    /// The new status.
    #[schema(value_type = stand_ins::Status, required = false)]
    pub status: Option<Status>,
}

/// The version to revert a task to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevertTask {
    /// The task gets the fields and the status that it had at this version.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    pub to_version: u64,
}

impl RevertTask {
    /// The largest version that can be asked for: the largest whole number that every JSON reader keeps exactly (RFC
    /// 8259, section 6).
    pub const LAST_VERSION: u64 = (1 << 53) - 1;
}

/// The request to undo.
#[derive(Debug, Clone, PartialEq, Eq, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UndoRequest {
    /// The `X-Request-Id` of the answer to that request.
    #[schema(min_length = 1, max_length = 128, pattern = "^[!-~]+$")]
    pub request_id: String,
}

/// The body of a command without parameters. It may be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NoFields {}

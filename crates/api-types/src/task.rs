//! Tasks: what clients send, and what they see. Those of a page may be [borrowed](crate::BorrowedTask) ones.

use events::{Due, Priority, Status, TaskId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::stand_ins;

/// A task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Task {
    /// Which task.
    #[schema(value_type = stand_ins::Id)]
    pub id: TaskId,
    /// What is to be done.
    #[schema(min_length = 1, max_length = 200)]
    pub title: String,
    /// More about it.
    #[schema(required = true, max_length = 10_000)]
    pub description: Option<String>,
    /// Where it stands.
    #[schema(value_type = stand_ins::Status)]
    pub status: Status,
    /// How urgent it is.
    #[schema(value_type = stand_ins::Priority)]
    pub priority: Priority,
    /// When it is due.
    #[schema(required = true, value_type = Option<stand_ins::Due>)]
    pub due: Option<Due>,
    /// In the order given.
    #[schema(max_items = 20)]
    pub tags: Vec<String>,
    /// When it came to be.
    #[schema(value_type = stand_ins::Instant)]
    pub created_at: Timestamp,
    /// When it last changed.
    #[schema(value_type = stand_ins::Instant)]
    pub updated_at: Timestamp,
    /// When it was finished, while it is.
    #[schema(required = true, value_type = Option<stand_ins::Instant>)]
    pub completed_at: Option<Timestamp>,
    /// When it went into the trash, while it is there.
    #[schema(required = true, value_type = Option<stand_ins::Instant>)]
    pub deleted_at: Option<Timestamp>,
    /// How often it has changed, from 1; also its `ETag`.
    #[schema(minimum = 1)]
    pub version: u64,
}

impl From<&events::Task> for Task {
    fn from(task: &events::Task) -> Self {
        // Taken apart, so that a new field of the state is shown or left out on purpose.
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

/// A part of a list of tasks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TaskPage<T = Task> {
    /// The tasks, in the order asked for.
    #[schema(max_items = 100, value_type = Vec<Task>)]
    pub items: Vec<T>,
    /// Send it as `cursor` with the same query to read on; `null` at the end.
    #[schema(required = true)]
    pub next_cursor: Option<String>,
    /// How many tasks pass the filter, with `count=true`. It is left out when counting would take too long.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = u64)]
    pub total: Option<u64>,
}

/// A new task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateTask {
    /// What is to be done.
    #[schema(value_type = stand_ins::Title)]
    pub title: String,
    /// More about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<stand_ins::Description>)]
    pub description: Option<String>,
    /// How urgent it is; `normal` when it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = stand_ins::Priority)]
    pub priority: Option<Priority>,
    /// When it is due.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<stand_ins::Due>)]
    pub due: Option<Due>,
    /// Its tags, all different, in the order in which they are to be shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 20, value_type = Option<std::collections::BTreeSet<stand_ins::Tag>>)]
    pub tags: Option<Vec<String>>,
}

/// Changes of a task (JSON Merge Patch, RFC 7396): a field that is absent stays as it is, `null` clears it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeTask {
    /// What is to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = stand_ins::Title)]
    pub title: Option<String>,
    /// More about it; `null` clears it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<stand_ins::Description>)]
    pub description: Option<Option<String>>,
    /// How urgent it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = stand_ins::Priority)]
    pub priority: Option<Priority>,
    /// When it is due; `null` clears it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<stand_ins::Due>)]
    pub due: Option<Option<Due>>,
    /// Its tags, all of them; `null` clears them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<std::collections::BTreeSet<stand_ins::Tag>>, max_items = 20)]
    pub tags: Option<Option<Vec<String>>>,
    /// Where it is to stand.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = stand_ins::Status)]
    pub status: Option<Status>,
}

/// Which version to bring a task back to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevertTask {
    /// What the task was at this version, it is to be again.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    pub to_version: u64,
}

impl RevertTask {
    /// The largest version that can be asked for: the largest whole number that every JSON reader keeps exactly (RFC 8259,
    /// section 6).
    pub const LAST_VERSION: u64 = (1 << 53) - 1;
}

/// Which request to take back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UndoRequest {
    /// The `X-Request-Id` of the answer to that request.
    #[schema(min_length = 1, max_length = 128, pattern = "^[!-~]+$")]
    pub request_id: String,
}

/// The body of a command that has nothing to say. It may be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NoFields {}

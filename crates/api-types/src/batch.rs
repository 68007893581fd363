//! Batches: up to 100 commands in one request, which succeed or fail separately.

use events::{Due, Priority, Status, TaskId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Problem, Task, stand_ins};

/// Commands that are carried out in order, each separately.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// A command that fails has its problem in the result, and does not stop the others.
    #[schema(min_items = 1, max_items = 100)]
    pub commands: Vec<BatchCommand>,
}

/// One command of a batch: the operation, the task, and the fields that a request of its own would have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchCommand {
    /// The operation.
    pub op: BatchOperation,
    /// The id of the task; for every operation but `create`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = stand_ins::Id)]
    pub id: Option<TaskId>,
    /// The expected version of the task; not for `create`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = IfMatch)]
    pub if_match: Option<IfMatch>,
    /// For `create` and `update`: the title.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = stand_ins::Title)]
    pub title: Option<String>,
    /// For `create` and `update`: the description.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<stand_ins::Description>)]
    pub description: Option<String>,
    /// For `create` and `update`: the priority.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = stand_ins::Priority)]
    pub priority: Option<Priority>,
    /// For `create` and `update`: when it is due.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<stand_ins::Due>)]
    pub due: Option<Due>,
    /// For `create` and `update`: all tags.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 20, value_type = Option<std::collections::BTreeSet<stand_ins::Tag>>)]
    pub tags: Option<Vec<String>>,
    /// For `update`: the status.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = stand_ins::Status)]
    pub status: Option<Status>,
}

impl BatchCommand {
    /// A command without conditions and fields, about the task `id`, or without a task for `create`.
    pub const fn new(op: BatchOperation, id: Option<TaskId>) -> Self {
        Self {
            op,
            id,
            if_match: None,
            title: None,
            description: None,
            priority: None,
            due: None,
            tags: None,
            status: None,
        }
    }
}

/// An operation on a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BatchOperation {
    /// As `POST /tasks`.
    Create,
    /// As `PATCH /tasks/{id}`.
    Update,
    /// As `POST /tasks/{id}/start`.
    Start,
    /// As `POST /tasks/{id}/complete`.
    Complete,
    /// As `POST /tasks/{id}/cancel`.
    Cancel,
    /// As `POST /tasks/{id}/reopen`.
    Reopen,
    /// As `DELETE /tasks/{id}`.
    Delete,
    /// As `POST /tasks/{id}/restore`.
    Restore,
}

/// A version, as a number or as in the header `If-Match`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(untagged)]
pub enum IfMatch {
    /// The version.
    Version(u64),
    /// The version as text, entity tags such as `"3"`, or `*`.
    Tags(String),
}

/// The results of the commands, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BatchResults {
    /// One result for each command.
    #[schema(min_items = 1, max_items = 100)]
    pub results: Vec<BatchResult>,
}

/// The answer that the command would have had in a request of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BatchResult {
    /// The status.
    #[schema(minimum = 200, maximum = 599)]
    pub status: u16,
    /// The task after the command, if the answer has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Task)]
    pub task: Option<Task>,
    /// Why the command had no effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Problem)]
    pub problem: Option<Problem>,
}

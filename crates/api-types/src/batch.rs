//! Batches: up to 100 commands in one request, each on its own.

use events::{Due, Priority, Status, TaskId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Problem, Task, stand_ins};

/// Commands to be carried out in their order, each on its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// What is wrong with one of them is told in its place, and does not keep the others back.
    #[schema(min_items = 1, max_items = 100)]
    pub commands: Vec<BatchCommand>,
}

/// One command of a batch: what is to be done, the task, and the fields that a request of its own would have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchCommand {
    /// What is to be done.
    pub op: BatchOperation,
    /// Which task; for every operation but `create`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = stand_ins::Id)]
    pub id: Option<TaskId>,
    /// On which version of the task; not for `create`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = IfMatch)]
    pub if_match: Option<IfMatch>,
    /// For `create` and `update`: what is to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = stand_ins::Title)]
    pub title: Option<String>,
    /// For `create` and `update`: more about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<stand_ins::Description>)]
    pub description: Option<String>,
    /// For `create` and `update`: how urgent it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = stand_ins::Priority)]
    pub priority: Option<Priority>,
    /// For `create` and `update`: when it is due.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<stand_ins::Due>)]
    pub due: Option<Due>,
    /// For `create` and `update`: its tags, all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 20, value_type = Option<std::collections::BTreeSet<stand_ins::Tag>>)]
    pub tags: Option<Vec<String>>,
    /// For `update`: where it is to stand.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = stand_ins::Status)]
    pub status: Option<Status>,
}

impl BatchCommand {
    /// A command without conditions and fields, about the task `id` or, for `create`, about none.
    #[must_use]
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

/// What is to be done with a task.
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

/// A version: as a number, or as `If-Match` would name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(untagged)]
pub enum IfMatch {
    /// The version.
    Version(u64),
    /// The version as text, entity tags such as `"3"`, or `*`.
    Tags(String),
}

/// What became of the commands, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BatchResults {
    /// One for each command.
    #[schema(min_items = 1, max_items = 100)]
    pub results: Vec<BatchResult>,
}

/// The answer that one command would have had in a request of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BatchResult {
    /// The status.
    #[schema(minimum = 200, maximum = 599)]
    pub status: u16,
    /// The task after the command, unless there is nothing to show.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Task)]
    pub task: Option<Task>,
    /// Why the command had no effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Problem)]
    pub problem: Option<Problem>,
}

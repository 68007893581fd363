//! The audit trail.

use events::{EventId, OperationOutcome, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::stand_ins;

/// A page of the audit trail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditPage {
    /// The events, the newest first.
    #[schema(max_items = 100)]
    pub items: Vec<AuditEvent>,
    /// Send it as `cursor` with the same filters to get the next page; `null` at the end.
    #[schema(required = true)]
    pub next_cursor: Option<String>,
}

/// One event of the log, without its payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditEvent {
    /// Its position in the log.
    #[schema(minimum = 1)]
    pub position: u64,
    /// The stream that it belongs to, such as `task-…`.
    pub stream: String,
    /// Its version in the stream.
    #[schema(minimum = 1)]
    pub version: u64,
    /// The id of the event.
    #[schema(value_type = stand_ins::Id)]
    pub id: EventId,
    /// The type of the event, such as `task.created`.
    pub r#type: String,
    /// The person it is about; `00000000-0000-0000-0000-000000000000` means nobody.
    #[schema(value_type = stand_ins::Id)]
    pub subject: UserId,
    /// Who caused it: the id of a person, `operator` (named in the `operation.started` of the command) or `system`.
    pub actor: String,
    /// The id of the request that caused it, which all events of that request share.
    pub correlation_id: String,
    /// The id of the command that caused it, which all events of that command share.
    #[schema(value_type = stand_ins::Id)]
    pub causation_id: Uuid,
    /// When it was recorded.
    #[schema(value_type = stand_ins::Instant)]
    pub recorded_at: Timestamp,
    /// What an operator did (in `operation.started`) or how it ended (in `operation.finished`). For an admin's action
    /// on an account it has only the `reason`, if one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub operation: Option<AuditedOperation>,
}

/// A command of an operator: `command`, `by` and `reason` when it started, `outcome` and `result` when it finished.
/// Both have the same `correlation_id` as all other events of the command.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditedOperation {
    /// The command, such as `projection rebuild`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub command: Option<String>,
    /// Who gave the command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub by: Option<String>,
    /// The reason, if one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub reason: Option<String>,
    /// How it ended. A command that was interrupted has no such event.
    #[schema(value_type = stand_ins::OperationOutcome)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<OperationOutcome>,
    /// Details of the result, if there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub result: Option<String>,
}

//! The audit trail.

use events::{EventId, OperationOutcome, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::stand_ins;

/// A part of the audit trail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditPage {
    /// What happened, the newest first.
    #[schema(max_items = 100)]
    pub items: Vec<AuditEvent>,
    /// Send it as `cursor` with the same filters to read on; `null` at the end.
    #[schema(required = true)]
    pub next_cursor: Option<String>,
}

/// One event of the log, without what it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditEvent {
    /// Its place in the log.
    #[schema(minimum = 1)]
    pub position: u64,
    /// The stream that it belongs to, such as `task-…`.
    pub stream: String,
    /// Its place in the stream.
    #[schema(minimum = 1)]
    pub version: u64,
    /// Which event.
    #[schema(value_type = stand_ins::Id)]
    pub id: EventId,
    /// What happened, such as `task.created`.
    pub r#type: String,
    /// Whom it is about; `00000000-0000-0000-0000-000000000000` is nobody.
    #[schema(value_type = stand_ins::Id)]
    pub subject: UserId,
    /// Who caused it: the id of a person, `operator` (who that was, its `operation.started` says) or `system`.
    pub actor: String,
    /// The request that caused it, shared by everything that the request did.
    pub correlation_id: String,
    /// The command that it answers, shared by all events of that command.
    #[schema(value_type = stand_ins::Id)]
    pub causation_id: Uuid,
    /// When.
    #[schema(value_type = stand_ins::Instant)]
    pub recorded_at: Timestamp,
    /// What an operator did, or how it ended: in `operation.started` and `operation.finished`. In what an admin did to an
    /// account only `reason`, if they said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub operation: Option<AuditedOperation>,
}

/// A command of an operator: `command`, `by` and `reason` when it started, `outcome` and `result` when it finished. Both have
/// the same `correlation_id` as everything that the command did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditedOperation {
    /// What, such as `projection rebuild`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub command: Option<String>,
    /// Who gave the command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub by: Option<String>,
    /// Why, if they said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub reason: Option<String>,
    /// How it ended. A command that was broken off has not finished.
    #[schema(value_type = stand_ins::OperationOutcome)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<OperationOutcome>,
    /// What came of it, if there is more to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub result: Option<String>,
}

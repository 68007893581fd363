//! The audit trail.

use events::{EventId, Timestamp, UserId};
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
    /// Whom it is about.
    #[schema(value_type = stand_ins::Id)]
    pub subject: UserId,
    /// Who caused it: the id of a person, `operator` or `system`.
    pub actor: String,
    /// The request that caused it, shared by everything that the request did.
    pub correlation_id: String,
    /// The command that it answers, shared by all events of that command.
    #[schema(value_type = stand_ins::Id)]
    pub causation_id: Uuid,
    /// When.
    #[schema(value_type = stand_ins::Instant)]
    pub recorded_at: Timestamp,
}

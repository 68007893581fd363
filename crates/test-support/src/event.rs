//! An event of which a test cares only for a part.

use events::{Actor, Encoding, EventId, Metadata, NewEvent, Timestamp, UserId};

/// An event of the type `kind` about `subject`, with the JSON in `data` as its payload.
#[must_use]
pub fn event(subject: UserId, kind: &str, data: &str) -> NewEvent {
    NewEvent {
        id: EventId(runtime::new_id()),
        kind: kind.to_owned(),
        schema_version: 1,
        encoding: Encoding::Json,
        data: data.to_owned().into(),
        metadata: Metadata {
            subject,
            actor: Actor::System,
            correlation_id: "request-1".into(),
            causation_id: runtime::new_id(),
            traceparent: None,
            idempotency_key: None,
        },
        recorded_at: Timestamp::from_micros(1_780_000_000_123_456),
    }
}

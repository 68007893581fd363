//! Events for tests that do not look into payloads.

use bytes::Bytes;
use events::{Actor, Encoding, EventId, Metadata, NewEvent, Timestamp, UserId};
use runtime::new_id;

/// An event about `subject`, with an id of its own.
pub fn new_event(subject: UserId, data: impl Into<Bytes>) -> NewEvent {
    NewEvent {
        id: EventId(new_id()),
        kind: "task.renamed".to_owned(),
        schema_version: 1,
        encoding: Encoding::Json,
        data: data.into(),
        metadata: metadata_about(subject),
        recorded_at: Timestamp::from_micros(1_780_000_000_123_456),
    }
}

/// The metadata of an event about `subject`.
pub fn metadata_about(subject: UserId) -> Metadata {
    Metadata {
        subject,
        actor: Actor::System,
        correlation_id: "request-1".into(),
        causation_id: new_id(),
        traceparent: None,
        idempotency_key: None,
    }
}

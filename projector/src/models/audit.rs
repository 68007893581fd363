//! `audit_log`: one row for every event of the log, also for those that cannot be projected.

use database::Value;
use events::{ERASED, Event, RecordedEvent, StreamKind};

use super::table::{Column, Table};

/// Where the rows are.
pub(crate) const AUDIT_LOG: Table = Table {
    name: "audit_log",
    columns: &[
        ("position", Column::Integer),
        ("stream", Column::Text),
        ("version", Column::Integer),
        ("event_id", Column::Uuid),
        ("type", Column::Text),
        ("subject", Column::Uuid),
        ("actor", Column::Text),
        ("correlation_id", Column::Text),
        ("causation_id", Column::Uuid),
        ("recorded_at", Column::Integer),
        ("operation", Column::Text),
    ],
};

/// Appends the row of `event` in the order of the columns.
pub(crate) fn audit_values(event: &RecordedEvent, row: &mut Vec<Value>) {
    row.extend([
        event.position.into(),
        storable(event.stream.as_str()).into(),
        event.version.into(),
        event.id.0.into(),
        storable(&event.kind).into(),
        event.metadata.subject.0.into(),
        event.metadata.actor.to_string().into(),
        storable(&event.metadata.correlation_id).into(),
        event.metadata.causation_id.into(),
        event.recorded_at.as_micros().into(),
        operation(event).into(),
    ]);
}

/// What an operator did, and why, or how it ended, as JSON. It says nothing about a person.
fn operation(event: &RecordedEvent) -> Option<String> {
    if !matches!(event.stream.kind(), Ok(StreamKind::Operation(_))) {
        return None;
    }
    let Ok(Event::Operation(operation)) = Event::try_from(event) else {
        return None;
    };
    String::from_utf8(operation.encode().data.to_vec()).ok()
}

/// What the trail keeps of an event of somebody who was erased.
pub(crate) fn without_request_id(event: &RecordedEvent) -> RecordedEvent {
    let mut event = event.clone();
    event.metadata.correlation_id = ERASED.into();
    event
}

/// `text` as both databases can store it: the audit trail takes every event, so it replaces U+0000, which
/// PostgreSQL refuses.
pub(crate) fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

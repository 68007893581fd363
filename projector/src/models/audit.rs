//! `audit_log`: one row for every event of the log, also for those that cannot be projected.

use database::Value;
use events::{ERASED, Event, RecordedEvent, StreamKind};

use super::table::{Column, Table};

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

/// Appends the row of `event` in the order of the columns. For an erased person it leaves out the request id, which a
/// client may have chosen, and personal data.
pub(crate) fn audit_values(event: &RecordedEvent, is_erased: bool, row: &mut Vec<Value>) {
    let correlation_id = match is_erased {
        true => ERASED.to_owned(),
        false => storable(&event.metadata.correlation_id),
    };
    row.extend([
        event.position.into(),
        storable(event.stream.as_str()).into(),
        event.version.into(),
        event.id.0.into(),
        storable(&event.kind).into(),
        event.metadata.subject.0.into(),
        event.metadata.actor.to_string().into(),
        correlation_id.into(),
        event.metadata.causation_id.into(),
        event.recorded_at.as_micros().into(),
        operation(event, is_erased).into(),
    ]);
}

/// The operation of an operator as JSON, which has no personal data, or the reason of an admin, which is personal.
fn operation(event: &RecordedEvent, is_erased: bool) -> Option<String> {
    match event.stream.kind() {
        Ok(StreamKind::Operation(_)) => {}
        Ok(StreamKind::Account(_)) if !is_erased => {}
        _ => return None,
    }
    match Event::try_from(event) {
        Ok(Event::Operation(operation)) => String::from_utf8(operation.encode().data.to_vec()).ok(),
        Ok(Event::Account(event)) => {
            let reason = event.admin_reason()?;
            Some(serde_json::json!({ "reason": storable(reason) }).to_string())
        }
        _ => None,
    }
}

/// `text` without U+0000, which PostgreSQL cannot store. The audit trail must accept every event.
pub(crate) fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

//! From our events to KurrentDB's and back. Payloads are bytes on both sides; what KurrentDB has no place for
//! is in the event's custom metadata.

use bytes::Bytes;
use events::{EventId, Metadata, NewEvent, RecordedEvent, StreamName, Timestamp};
use eventstore::{EventData, ResolvedEvent};
use serde::{Deserialize, Serialize};

use crate::StoreError;

/// The layout of [`Custom`], which also marks events as Taskledger's.
const LAYOUT: u8 = 1;

/// An event's custom metadata.
#[derive(Serialize, Deserialize)]
struct Custom<M, E> {
    taskledger: u8,
    schema_version: u16,
    encoding: E,
    /// Microseconds, as [`Timestamp`] counts them.
    recorded_at: i64,
    metadata: M,
}

/// The part of [`Custom`] that tells whose an event is.
#[derive(Deserialize)]
struct Mark {
    #[serde(rename = "taskledger")]
    _layout: u8,
}

/// An event on its way to the server. Always declared as binary: the client would write JSON anew, and the
/// payload must stay as it is.
pub(super) fn proposed(event: NewEvent) -> Result<EventData, StoreError> {
    let custom = Custom {
        taskledger: LAYOUT,
        schema_version: event.schema_version,
        encoding: event.encoding.as_str(),
        recorded_at: event.recorded_at.as_micros(),
        metadata: &event.metadata,
    };
    let custom = serde_json::to_vec(&custom).map_err(StoreError::unavailable)?;
    Ok(EventData::binary(event.kind, event.data)
        .id(event.id.0)
        .metadata(Bytes::from(custom)))
}

/// An event from the server, or nothing if it is somebody else's; `prefix` is what names of streams begin with.
pub(super) fn recorded(event: ResolvedEvent, prefix: &str) -> Result<Option<RecordedEvent>, StoreError> {
    // Links are not followed; they come as events of their own.
    let Some(event) = event.event else {
        return Ok(None);
    };
    let position = event.position.commit;
    let Some(stream) = event.stream_id().strip_prefix(prefix) else {
        return Ok(None);
    };
    if stream.starts_with('$') || serde_json::from_slice::<Mark>(&event.custom_metadata).is_err() {
        return Ok(None);
    }
    let stream = StreamName::raw(stream);
    let corrupt = |what: String| StoreError::Corrupt(format!("position {position}: {what}"));
    let custom: Custom<Metadata, String> =
        serde_json::from_slice(&event.custom_metadata).map_err(|error| corrupt(error.to_string()))?;
    if custom.taskledger != LAYOUT {
        return Err(corrupt(format!("metadata of layout {}", custom.taskledger)));
    }
    Ok(Some(RecordedEvent {
        position,
        stream,
        version: event.revision + 1,
        id: EventId(event.id),
        kind: event.event_type,
        schema_version: custom.schema_version,
        encoding: custom.encoding.parse().map_err(corrupt)?,
        data: event.data,
        metadata: custom.metadata,
        recorded_at: Timestamp::from_micros(custom.recorded_at),
    }))
}

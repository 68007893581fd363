//! From our events to KurrentDB's and back. Payloads are bytes on both sides; what KurrentDB has no place for
//! is in the event's custom metadata.

use bytes::Bytes;
use events::{Encoding, EventId, Metadata, NewEvent, RecordedEvent, StreamName, Timestamp, UserId};
use eventstore::{EventData, ResolvedEvent};
use serde::{Deserialize, Serialize};

use crate::{Entry, StoreError, Unreadable, page::subject_of};

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
pub(super) fn recorded(event: ResolvedEvent, prefix: &str) -> Option<Entry> {
    // Links are not followed; they come as events of their own.
    let event = event.event?;
    let position = event.position.commit;
    let stream = event.stream_id().strip_prefix(prefix)?;
    if stream.starts_with('$') || serde_json::from_slice::<Mark>(&event.custom_metadata).is_err() {
        return None;
    }
    let stream = StreamName::raw(stream);
    let custom = match custom(&event.custom_metadata) {
        Ok(custom) => custom,
        // Others may use a mark of the same name: only the two together say whose the event is.
        Err(_) if stream.kind().is_err() => return None,
        Err(reason) => {
            return Some(Err(Unreadable {
                position,
                stream,
                version: event.revision + 1,
                kind: event.event_type,
                subject: subject(&event.custom_metadata),
                reason,
            }));
        }
    };
    Some(Ok(RecordedEvent {
        position,
        stream,
        version: event.revision + 1,
        id: EventId(event.id),
        kind: event.event_type,
        schema_version: custom.schema_version,
        encoding: custom.encoding,
        data: event.data,
        metadata: custom.metadata,
        recorded_at: Timestamp::from_micros(custom.recorded_at),
    }))
}

fn custom(metadata: &[u8]) -> Result<Custom<Metadata, Encoding>, String> {
    let custom: Custom<Metadata, String> =
        serde_json::from_slice(metadata).map_err(|error| error.to_string())?;
    if custom.taskledger != LAYOUT {
        return Err(format!("metadata of layout {}", custom.taskledger));
    }
    Ok(Custom {
        encoding: custom.encoding.parse()?,
        taskledger: custom.taskledger,
        schema_version: custom.schema_version,
        recorded_at: custom.recorded_at,
        metadata: custom.metadata,
    })
}

/// The person whom the event is about, even when the rest of its metadata cannot be read.
fn subject(metadata: &[u8]) -> Option<UserId> {
    #[derive(Deserialize)]
    struct Inner<'a> {
        #[serde(borrow)]
        metadata: &'a serde_json::value::RawValue,
    }
    let inner: Inner<'_> = serde_json::from_slice(metadata).ok()?;
    subject_of(inner.metadata.get().as_bytes())
}

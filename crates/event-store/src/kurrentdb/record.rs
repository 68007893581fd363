//! Converts our events to KurrentDB's and back. Payloads are bytes in both; all that has no place in KurrentDB's
//! event is in its custom metadata.

use std::collections::HashMap;

use bytes::Bytes;
use events::{
    Encoding, EventId, Metadata, NewEvent, RecordedEvent, StoredEvent, StoredPayload, StreamName, Timestamp,
    UserId,
};
use kurrentdb_protocol::event_store::client::streams::{
    batch_append_req::ProposedMessage, read_resp::read_event::RecordedEvent as WireEvent,
};
use runtime::signed;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::calls::{id, wire_id};
use crate::{Entry, StoreError, Unreadable, page::subject_of};

/// The layout of [`Custom`], which also marks events as Taskledger's.
const LAYOUT: u8 = 1;

/// An event's custom metadata.
#[derive(Serialize, Deserialize)]
struct Custom<M, E> {
    taskledger: u8,
    /// The prefix of the log's streams. Several logs may share a server, and the prefix of one may be the beginning
    /// of another's.
    log: Option<String>,
    schema_version: u16,
    encoding: E,
    /// Microseconds, as [`Timestamp`] counts them.
    recorded_at: i64,
    /// The SHA-256 of the payload in hexadecimal, if it was dropped from the log that the event was imported from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data_sha256: Option<String>,
    metadata: M,
}

/// The part of [`Custom`] that shows whether an event is ours.
#[derive(Deserialize)]
struct Mark {
    #[serde(rename = "taskledger")]
    _layout: u8,
    log: Option<String>,
}

/// Encodes an event. It is always declared as binary, because the payload must not be changed.
pub(super) fn proposed(event: NewEvent, prefix: &str) -> Result<ProposedMessage, StoreError> {
    let custom = Custom {
        taskledger: LAYOUT,
        log: Some(prefix.to_owned()),
        schema_version: event.schema_version,
        encoding: event.encoding.as_str(),
        recorded_at: event.recorded_at.as_micros(),
        data_sha256: None,
        metadata: &event.metadata,
    };
    let custom = serde_json::to_vec(&custom).map_err(StoreError::unavailable)?;
    Ok(binary(event.id.0, event.kind, event.data, custom.into()))
}

/// The same for an event of another log, with its metadata byte for byte; `None` when they are not JSON.
pub(super) fn proposed_as_stored(id: Uuid, event: &StoredEvent, prefix: &str) -> Option<ProposedMessage> {
    let metadata: &RawValue = serde_json::from_slice(&event.metadata).ok()?;
    let (data, data_sha256) = match &event.data {
        StoredPayload::Whole(data) => (data.clone(), None),
        StoredPayload::Dropped(sha256) => (Bytes::new(), Some(sha256.clone())),
    };
    let custom = Custom {
        taskledger: LAYOUT,
        log: Some(prefix.to_owned()),
        schema_version: u16::try_from(event.schema_version).ok()?,
        encoding: event.encoding.as_str(),
        recorded_at: event.recorded_at,
        data_sha256,
        metadata,
    };
    let custom = serde_json::to_vec(&custom).ok()?;
    Some(binary(id, event.kind.clone(), data, custom.into()))
}

pub(super) fn binary(id: Uuid, kind: String, data: Bytes, custom_metadata: Bytes) -> ProposedMessage {
    ProposedMessage {
        id: Some(wire_id(id)),
        metadata: HashMap::from([
            ("type".to_owned(), kind),
            ("content-type".to_owned(), "application/octet-stream".to_owned()),
        ]),
        custom_metadata,
        data,
    }
}

/// The bytes that count for the server's limit of an append.
pub(super) fn size(event: &ProposedMessage) -> usize {
    let kind = event.metadata.get("type").map_or(0, String::len);
    event.data.len() + event.custom_metadata.len() + 2 * kind
}

/// The bytes that count for the size of a page.
pub(super) fn size_in_page(event: &WireEvent) -> usize {
    event.data.len() + event.custom_metadata.len()
}

/// The name of the type of an event from the server.
pub(super) fn kind(event: &WireEvent) -> String {
    event.metadata.get("type").cloned().unwrap_or_default()
}

/// The id of an event from the server.
pub(super) fn event_id(event: &WireEvent) -> EventId {
    EventId(id(event.id.clone()).unwrap_or_default())
}

/// The name of the stream of an event from the server.
pub(super) fn stream(event: &WireEvent) -> Option<&str> {
    let name = event.stream_identifier.as_ref()?;
    std::str::from_utf8(&name.stream_name).ok()
}

/// Whether [`recorded`] can decode the event.
pub(super) fn is_ours(event: &WireEvent, prefix: &str) -> bool {
    // Decides at once for most events of others.
    serde_json::from_slice::<Mark>(&event.custom_metadata).is_ok()
        && recorded(event.clone(), prefix).is_some()
}

/// Decodes an event from the server; `None` if it is not ours. `prefix` is the prefix of the log's streams.
pub(super) fn recorded(event: WireEvent, prefix: &str) -> Option<Entry> {
    let name = stream(&event)?.strip_prefix(prefix)?;
    if name.starts_with('$') {
        return None;
    }
    let stream = StreamName::raw(name);
    let mark: Mark = serde_json::from_slice(&event.custom_metadata).ok()?;
    if mark.log.is_some_and(|log| log != prefix) {
        return None;
    }
    let custom = match custom(&event.custom_metadata) {
        Ok(custom) => custom,
        // Others may use metadata of the same form: only stream and metadata together show whether an event is ours.
        Err(_) if stream.kind().is_err() => return None,
        Err(reason) => {
            return Some(Err(Unreadable {
                position: event.commit_position,
                stream,
                version: event.stream_revision + 1,
                id: Some(event_id(&event)),
                kind: kind(&event).into(),
                subject: subject(&event.custom_metadata),
                reason: reason.into(),
                impersonal: None,
            }));
        }
    };
    Some(Ok(RecordedEvent {
        position: event.commit_position,
        stream,
        version: event.stream_revision + 1,
        id: event_id(&event),
        kind: kind(&event),
        schema_version: custom.schema_version,
        encoding: match custom.data_sha256.filter(|_| event.data.is_empty()) {
            Some(_) => Encoding::Dropped,
            None => custom.encoding,
        },
        data: event.data,
        metadata: custom.metadata,
        recorded_at: Timestamp::from_micros(custom.recorded_at),
    }))
}

/// Like [`recorded`], exactly as stored: the same as in every other store, or the whole custom metadata when it has
/// another layout.
pub(super) fn stored(event: WireEvent, prefix: &str) -> Option<StoredEvent> {
    drop(recorded(event.clone(), prefix)?);
    let custom = serde_json::from_slice::<Custom<&RawValue, String>>(&event.custom_metadata)
        .ok()
        .filter(|custom| custom.taskledger == LAYOUT);
    let (schema_version, encoding, recorded_at, data_sha256, metadata) = match custom {
        Some(custom) => (
            i64::from(custom.schema_version),
            custom.encoding,
            custom.recorded_at,
            custom.data_sha256,
            Bytes::copy_from_slice(custom.metadata.get().as_bytes()),
        ),
        None => (0, String::new(), 0, None, event.custom_metadata.clone()),
    };
    Some(StoredEvent {
        position: signed(event.commit_position),
        stream: stream(&event)?.strip_prefix(prefix)?.to_owned(),
        version: signed(event.stream_revision).saturating_add(1),
        id: event_id(&event).0.hyphenated().to_string(),
        kind: kind(&event),
        schema_version,
        encoding,
        recorded_at,
        metadata,
        data: match data_sha256.filter(|_| event.data.is_empty()) {
            Some(sha256) => StoredPayload::Dropped(sha256),
            None => event.data.into(),
        },
    })
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
        log: custom.log,
        schema_version: custom.schema_version,
        recorded_at: custom.recorded_at,
        data_sha256: custom.data_sha256,
        metadata: custom.metadata,
    })
}

/// The person that the event is about, even if the rest of its metadata cannot be read.
fn subject(metadata: &[u8]) -> Option<UserId> {
    #[derive(Deserialize)]
    struct Inner<'a> {
        #[serde(borrow)]
        metadata: &'a RawValue,
    }
    let inner: Inner<'_> = serde_json::from_slice(metadata).ok()?;
    subject_of(inner.metadata.get().as_bytes())
}

//! A payload on its way into the log, before it has an envelope.

use bytes::Bytes;

use crate::{Encoding, EventId, Metadata, NewEvent, Timestamp};

/// A payload ready for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// The wire name of its type.
    pub kind: &'static str,
    /// The schema version that this build writes.
    pub schema_version: u16,
    /// How `data` is written.
    pub encoding: Encoding,
    /// The payload as bytes.
    pub data: Bytes,
}

impl Encoded {
    /// The event with this payload.
    pub fn into_event(self, id: EventId, metadata: Metadata, recorded_at: Timestamp) -> NewEvent {
        NewEvent {
            id,
            kind: self.kind.to_owned(),
            schema_version: self.schema_version,
            encoding: self.encoding,
            data: self.data,
            metadata,
            recorded_at,
        }
    }
}

//! An event exactly as a store holds it, whether or not this build can read it, and the bytes that represent it in
//! the transparency log.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A record of the log, column by column. Nothing in it is interpreted, so that a build that cannot read the record
/// makes the same canonical bytes as a build that can.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// Place in the whole log.
    pub position: i64,
    /// The stream it belongs to.
    pub stream: String,
    /// Place in its stream.
    pub version: i64,
    /// The id of the event, as it is stored.
    pub id: String,
    /// Wire name of its type.
    pub kind: String,
    /// Version of the payload's schema.
    pub schema_version: i64,
    /// How `data` is written.
    pub encoding: String,
    /// Microseconds since 1970.
    pub recorded_at: i64,
    /// The metadata, byte for byte.
    pub metadata: Bytes,
    /// The payload, or what is left of it.
    pub data: StoredPayload,
}

/// The payload of a record, or what is left of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoredPayload {
    /// Byte for byte as it was appended.
    Whole(Bytes),
    /// It was dropped from the log once it had been exported. Its SHA-256 in hexadecimal was kept.
    Dropped(String),
}

impl StoredPayload {
    /// What is left of a payload that had this SHA-256.
    pub fn dropped(sha256: &[u8]) -> Self {
        Self::Dropped(hex::encode(sha256))
    }

    /// The payload, unless it was dropped.
    pub const fn whole(&self) -> Option<&Bytes> {
        match self {
            Self::Whole(bytes) => Some(bytes),
            Self::Dropped(_) => None,
        }
    }

    /// The SHA-256 of the payload, in hexadecimal.
    pub fn sha256(&self) -> String {
        match self {
            Self::Whole(bytes) => sha256(bytes),
            Self::Dropped(kept) => kept.clone(),
        }
    }

    /// Whether `other` was the same payload, as far as can still be decided.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Whole(one), Self::Whole(other)) => one == other,
            _ => self.sha256() == other.sha256(),
        }
    }

    /// The bytes that it takes in the log.
    pub fn size(&self) -> usize {
        self.whole().map_or(0, Bytes::len)
    }
}

impl From<Bytes> for StoredPayload {
    fn from(bytes: Bytes) -> Self {
        Self::Whole(bytes)
    }
}

/// What the transparency log says of an event: every column, with hashes in the place of payload and metadata. The
/// rest can be verified without them.
///
/// Written as JSON without spaces, in the order of the members here, this is the canonical encoding of the event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventDigest {
    /// Place in the whole log.
    pub position: i64,
    /// The stream it belongs to.
    pub stream: String,
    /// Place in its stream.
    pub version: i64,
    /// The id of the event, as it is stored.
    pub id: String,
    /// Wire name of its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Version of the payload's schema.
    pub schema_version: i64,
    /// How the payload is written.
    pub encoding: String,
    /// Microseconds since 1970.
    pub recorded_at: i64,
    /// The SHA-256 of the metadata, in hexadecimal.
    pub metadata_sha256: String,
    /// The SHA-256 of the payload, in hexadecimal.
    pub data_sha256: String,
}

impl StoredEvent {
    /// What the transparency log says of it.
    pub fn digest(&self) -> EventDigest {
        EventDigest {
            position: self.position,
            stream: self.stream.clone(),
            version: self.version,
            id: self.id.clone(),
            kind: self.kind.clone(),
            schema_version: self.schema_version,
            encoding: self.encoding.clone(),
            recorded_at: self.recorded_at,
            metadata_sha256: sha256(&self.metadata),
            data_sha256: self.data.sha256(),
        }
    }

    /// Its canonical bytes.
    pub fn canonical(&self) -> Vec<u8> {
        self.digest().canonical()
    }
}

impl EventDigest {
    /// The canonical bytes of the event.
    pub fn canonical(&self) -> Vec<u8> {
        // Integers and strings: writing them as JSON cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// The SHA-256 of `bytes`, in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hex::encode(sha256_bytes(bytes))
}

/// The SHA-256 of `bytes`.
pub fn sha256_bytes(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> StoredEvent {
        StoredEvent {
            position: 7,
            stream: "task-0198c5d2-7c00-7000-8000-000000000001".to_owned(),
            version: 1,
            id: "0198c5d2-7c00-7000-8000-000000000002".to_owned(),
            kind: "task.deleted".to_owned(),
            schema_version: 1,
            encoding: "json".to_owned(),
            recorded_at: 1_755_700_000_000_000,
            metadata: Bytes::from_static(b"{\"subject\":\"0198c5d2-7c00-7000-8000-000000000003\"}"),
            data: Bytes::from_static(b"{}").into(),
        }
    }

    #[test]
    fn the_canonical_bytes_are_those_of_the_documentation() {
        let canonical = String::from_utf8(example().canonical()).unwrap();
        let documentation = include_str!("../../docs/audit.md");
        assert!(documentation.contains(&format!("\n{canonical}\n")), "{canonical}");
        let hash = sha256(canonical.as_bytes());
        assert!(documentation.contains(&hash), "{hash}");
        assert_eq!(serde_json::from_str::<EventDigest>(&canonical).unwrap(), example().digest());
    }

    #[test]
    fn every_column_counts() {
        let changes: [fn(&mut StoredEvent); 10] = [
            |event| event.position += 1,
            |event| event.stream.push('0'),
            |event| event.version += 1,
            |event| event.id.make_ascii_uppercase(),
            |event| event.kind.push('x'),
            |event| event.schema_version += 1,
            |event| event.encoding = "sealed".to_owned(),
            |event| event.recorded_at -= 1,
            |event| event.metadata = Bytes::from_static(b"{ }"),
            |event| event.data = Bytes::from_static(b"{ }").into(),
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let mut event = example();
            change(&mut event);
            assert_ne!(event.canonical(), example().canonical(), "column {number}");
        }
    }

    #[test]
    fn a_dropped_payload_leaves_the_canonical_bytes_as_they_are() {
        let mut event = example();
        event.data = StoredPayload::Dropped(event.data.sha256());
        assert_eq!(event.canonical(), example().canonical());
        assert_eq!((event.data.whole(), event.data.size()), (None, 0));
        event.data = StoredPayload::Dropped(sha256(b"{ }"));
        assert_ne!(event.canonical(), example().canonical());
    }

    #[test]
    fn what_looks_like_the_next_member_stays_within_its_own() {
        let mut event = example();
        event.stream = "a\",\"version\":2,\"id\":\"b".to_owned();
        assert_eq!(serde_json::from_slice::<EventDigest>(&event.canonical()).unwrap().stream, event.stream);
    }
}

//! Imports events of another log: the request and its errors.

use events::{StoredEvent, StoredPayload};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::StoreError;

/// The longest name of a stream, in bytes: PostgreSQL cannot index much longer ones.
const MAX_STREAM: usize = 1_000;

/// An import that has begun: the complete log that it leads to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnfinishedImport {
    /// How many events the export has.
    pub events: u64,
    /// The root of the tree over them.
    pub root: String,
}

/// Why events were not imported.
#[derive(Debug, Clone, thiserror::Error)]
#[expect(missing_docs, reason = "each variant has its message")]
pub enum ImportError {
    /// The log does not end where the import expects its end: nothing was written.
    #[error(
        "the log goes on after the events that were imported: something else appends to it at the same time"
    )]
    MovedOn,
    /// The store cannot hold this event at this place: none of the given events was written.
    #[error("the event {id}, version {version} of the stream {stream}, cannot be imported: {reason}")]
    Refused { id: String, stream: String, version: i64, reason: String },
    /// As for an append, the events may or may not have been written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ImportError {
    /// Refuses an event. The reason is part of a sentence.
    pub fn refused(event: &StoredEvent, reason: impl Into<String>) -> Self {
        Self::Refused {
            id: event.id.clone(),
            stream: event.stream.clone(),
            version: event.version,
            reason: reason.into(),
        }
    }
}

/// Checks an event without a store. The SQL stores have no other requirements.
///
/// # Errors
/// [`ImportError::Refused`] when one of them cannot hold the event.
pub fn check_import(event: &StoredEvent) -> Result<(), ImportError> {
    check(event).map(drop)
}

/// Checks the requirements of every store, so that each returns exactly what was written. Returns the id of the
/// event.
pub(crate) fn check(event: &StoredEvent) -> Result<Uuid, ImportError> {
    let refuse = |reason: &str| Err(ImportError::refused(event, reason));
    if event.version < 1 {
        return refuse("versions begin with 1");
    }
    if !(1..=i64::from(u16::MAX)).contains(&event.schema_version) {
        return refuse("the version of its schema is no such number");
    }
    let texts = [&*event.stream, &*event.kind, &*event.encoding];
    if texts.iter().any(|text| text.is_empty() || text.contains('\0')) {
        return refuse("its stream, its type and its encoding must be texts without the character U+0000");
    }
    if event.stream.len() > MAX_STREAM {
        return refuse("the name of its stream is too long");
    }
    if metadata(event).is_none() {
        return refuse("its metadata is no JSON");
    }
    kept_hash(event)?;
    match Uuid::try_parse(&event.id) {
        Ok(id) if id.hyphenated().to_string() == event.id => Ok(id),
        _ => refuse("its id is no lower-case UUID with hyphens"),
    }
}

/// The metadata of an event as JSON.
pub(crate) fn metadata(event: &StoredEvent) -> Option<&str> {
    let text = std::str::from_utf8(&event.metadata).ok()?;
    let is_json = serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() && !text.contains('\0');
    is_json.then_some(text)
}

/// The hash of the payload, if the payload was dropped.
pub(crate) fn kept_hash(event: &StoredEvent) -> Result<Option<[u8; 32]>, ImportError> {
    let StoredPayload::Dropped(sha256) = &event.data else {
        return Ok(None);
    };
    let mut hash = [0; 32];
    match hex::decode_to_slice(sha256, &mut hash) {
        Ok(()) => Ok(Some(hash)),
        Err(_) => Err(ImportError::refused(event, "the hash of its payload is none")),
    }
}

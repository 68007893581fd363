//! An exported event, for auditors and for other stores: its entry in the audit tree, with metadata and payload.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use events::{EventDigest, StoredEvent, StoredPayload, may_hold_secrets, public_payload, sha256};
use serde::{Deserialize, Serialize};

/// A line of an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportedEvent {
    /// The entry of the audit tree.
    pub event: EventDigest,
    /// The metadata, exactly as stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<String>,
    /// The same in Base64, when it is not text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata_base64: Option<String>,
    /// The payload, exactly as stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// The same in Base64, when it is not text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_base64: Option<String>,
    /// A payload that contains the hash of a password or of a refresh token is shown without it, instead of in
    /// `data`. No hash covers this, so it cannot be verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_without_secrets: Option<String>,
    /// Whether the payload was dropped from the log, which only has its hash.
    #[serde(default, skip_serializing_if = "is_false")]
    pub data_dropped: bool,
}

/// Why a line of an export is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// It is not a line of an export.
    #[error("it cannot be read: {0}")]
    Malformed(String),
    /// Metadata or payload do not have the hash in the entry.
    #[error("its {0} is not the one that was hashed")]
    Changed(&'static str),
    /// It lacks its metadata, or the payload of an event without secrets.
    #[error("its {0} is absent, so that it cannot be compared with its hash")]
    Absent(&'static str),
    /// It shows its metadata or its payload in more than one way, although the hash covers only one.
    #[error("its {0} is there more than once")]
    Repeated(&'static str),
}

impl ExportedEvent {
    /// The parts of an event that an auditor may see.
    pub fn of(event: &StoredEvent) -> Self {
        let Some(data) = event.data.whole() else {
            return Self::whole(event);
        };
        let public = public_payload(data);
        if public == *data {
            return Self::whole(event);
        }
        Self {
            data: None,
            data_base64: None,
            data_without_secrets: Some(String::from_utf8_lossy(&public).into_owned()),
            ..Self::whole(event)
        }
    }

    /// All of an event, with its secrets.
    pub fn whole(event: &StoredEvent) -> Self {
        let (metadata, metadata_base64) = text_or_base64(&event.metadata);
        let (data, data_base64) = event.data.whole().map_or((None, None), text_or_base64);
        Self {
            event: event.digest(),
            metadata,
            metadata_base64,
            data,
            data_base64,
            data_without_secrets: None,
            data_dropped: event.data.whole().is_none(),
        }
    }

    /// Reads a line, and verifies its hashes. Only the payload of an event that may hold a secret may be left out
    /// ([`Self::is_withheld`]), and one that was dropped ([`Self::data_dropped`]).
    ///
    /// # Errors
    /// When it is not.
    pub fn parse(line: &str) -> Result<Self, LineError> {
        let event: Self =
            serde_json::from_str(line).map_err(|error| LineError::Malformed(error.to_string()))?;
        let shown = shown("metadata", event.metadata.as_deref(), event.metadata_base64.as_deref())?;
        compare("metadata", shown, &event.event.metadata_sha256)?;
        let shown = self::shown("payload", event.data.as_deref(), event.data_base64.as_deref())?;
        match (shown, event.is_withheld(), event.data_dropped) {
            (Some(_), true, _) | (Some(_), _, true) | (None, true, true) => {
                Err(LineError::Repeated("payload"))
            }
            (None, false, true) => Ok(event),
            (None, true, false) if may_hold_secrets(&event.event.kind) => Ok(event),
            (shown, ..) => {
                compare("payload", shown, &event.event.data_sha256)?;
                Ok(event)
            }
        }
    }

    /// The event as it was stored; `None` when the line does not show all of it.
    pub fn stored(self) -> Option<StoredEvent> {
        let bytes = |text: Option<String>, base64: Option<String>| match (text, base64) {
            (Some(text), _) => Some(Bytes::from(text)),
            (None, Some(base64)) => STANDARD.decode(base64).ok().map(Bytes::from),
            (None, None) => None,
        };
        let event = self.event;
        Some(StoredEvent {
            position: event.position,
            stream: event.stream,
            version: event.version,
            id: event.id,
            kind: event.kind,
            schema_version: event.schema_version,
            encoding: event.encoding,
            recorded_at: event.recorded_at,
            metadata: bytes(self.metadata, self.metadata_base64)?,
            data: match self.data_dropped {
                true => StoredPayload::Dropped(event.data_sha256),
                false => bytes(self.data, self.data_base64)?.into(),
            },
        })
    }

    /// Whether the payload is withheld because it contains a secret. Then the tree has only its hash, and
    /// `data_without_secrets` cannot be verified.
    pub const fn is_withheld(&self) -> bool {
        self.data_without_secrets.is_some()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

fn shown(what: &'static str, text: Option<&str>, base64: Option<&str>) -> Result<Option<Vec<u8>>, LineError> {
    match (text, base64) {
        (Some(_), Some(_)) => Err(LineError::Repeated(what)),
        (Some(text), None) => Ok(Some(text.as_bytes().to_vec())),
        (None, Some(base64)) => {
            STANDARD.decode(base64).map(Some).map_err(|error| LineError::Malformed(error.to_string()))
        }
        (None, None) => Ok(None),
    }
}

fn compare(what: &'static str, shown: Option<Vec<u8>>, hash: &str) -> Result<(), LineError> {
    match shown {
        None => Err(LineError::Absent(what)),
        Some(shown) if sha256(&shown) != hash => Err(LineError::Changed(what)),
        Some(_) => Ok(()),
    }
}

fn text_or_base64(bytes: &Bytes) -> (Option<String>, Option<String>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (Some(text.to_owned()), None),
        Err(_) => (None, Some(STANDARD.encode(bytes))),
    }
}

#[cfg(test)]
mod tests;

//! Events on their way to an auditor: what the tree says of each, and what it stands for.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use events::{EventDigest, StoredEvent, public_payload, sha256};
use serde::{Deserialize, Serialize};

/// A line of an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportedEvent {
    /// What the tree says of it.
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
    /// What may be shown of a payload that holds the hash of a password or of a refresh token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_without_secrets: Option<String>,
}

/// A line of an export is not what the tree can have said.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// It is not a line of an export.
    #[error("it cannot be read: {0}")]
    Malformed(String),
    /// Metadata or payload are not those whose hash is in it.
    #[error("its {0} is not the one that was hashed")]
    Changed(&'static str),
}

impl ExportedEvent {
    /// What an auditor may see of an event.
    #[must_use]
    pub fn of(event: &StoredEvent) -> Self {
        let (metadata, metadata_base64) = text_or_base64(&event.metadata);
        let public = public_payload(&event.data);
        let ((data, data_base64), data_without_secrets) = if public == event.data {
            (text_or_base64(&event.data), None)
        } else {
            ((None, None), Some(String::from_utf8_lossy(&public).into_owned()))
        };
        Self {
            event: event.digest(),
            metadata,
            metadata_base64,
            data,
            data_base64,
            data_without_secrets,
        }
    }

    /// Reads a line, and makes sure that what it shows is what was hashed.
    ///
    /// # Errors
    /// When it is not.
    pub fn parse(line: &str) -> Result<Self, ExportError> {
        let event: Self =
            serde_json::from_str(line).map_err(|error| ExportError::Malformed(error.to_string()))?;
        for (what, text, base64, hash) in [
            (
                "metadata",
                &event.metadata,
                &event.metadata_base64,
                &event.event.metadata_sha256,
            ),
            (
                "payload",
                &event.data,
                &event.data_base64,
                &event.event.data_sha256,
            ),
        ] {
            let shown = match (text, base64) {
                (Some(text), _) => Some(text.clone().into_bytes()),
                (None, Some(base64)) => Some(
                    STANDARD
                        .decode(base64)
                        .map_err(|error| ExportError::Malformed(error.to_string()))?,
                ),
                (None, None) => None,
            };
            if shown.is_some_and(|shown| sha256(&shown) != *hash) {
                return Err(ExportError::Changed(what));
            }
        }
        Ok(event)
    }
}

fn text_or_base64(bytes: &Bytes) -> (Option<String>, Option<String>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (Some(text.to_owned()), None),
        Err(_) => (None, Some(STANDARD.encode(bytes))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(data: &'static [u8]) -> StoredEvent {
        StoredEvent {
            position: 1,
            stream: "account-1".to_owned(),
            version: 1,
            id: "1".to_owned(),
            kind: "account.registered".to_owned(),
            schema_version: 1,
            encoding: "json".to_owned(),
            recorded_at: 0,
            metadata: Bytes::from_static(b"{}"),
            data: Bytes::from_static(data),
        }
    }

    #[test]
    fn secrets_are_withheld_and_the_line_can_be_checked_all_the_same() {
        let stored = event(br#"{"email":"a@b","password_hash":"$argon2id$x"}"#);
        let line = serde_json::to_string(&ExportedEvent::of(&stored)).unwrap();
        assert!(!line.contains("argon2id"), "{line}");
        let read = ExportedEvent::parse(&line).unwrap();
        assert_eq!(read.event.canonical(), stored.canonical());
        assert_eq!(read.data_without_secrets.as_deref(), Some(r#"{"email":"a@b"}"#));
    }

    #[test]
    fn a_line_that_shows_something_else_is_refused() {
        for data in [b"{\"a\":1}".as_slice(), b"\xff\x00"] {
            let line = serde_json::to_string(&ExportedEvent::of(&event(data))).unwrap();
            assert_eq!(ExportedEvent::parse(&line).unwrap().event, event(data).digest());
        }
        let line = serde_json::to_string(&ExportedEvent::of(&event(b"{\"a\":1}"))).unwrap();
        let changed = line.replace("\\\"a\\\":1", "\\\"a\\\":2");
        assert_ne!(changed, line);
        assert_eq!(
            ExportedEvent::parse(&changed),
            Err(ExportError::Changed("payload"))
        );
        let changed = line.replace("\"metadata\":\"{}\"", "\"metadata\":\"{ }\"");
        assert_eq!(
            ExportedEvent::parse(&changed),
            Err(ExportError::Changed("metadata"))
        );
        assert!(matches!(
            ExportedEvent::parse("{}"),
            Err(ExportError::Malformed(_))
        ));
    }
}

//! An event on its way to an auditor or into another store: what the audit tree says of it, and what it stands for.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use events::{EventDigest, StoredEvent, StoredPayload, may_hold_secrets, public_payload, sha256};
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
    /// What may be shown of a payload that holds the hash of a password or of a refresh token, instead of `data`. No hash covers
    /// it, so that nobody can check it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_without_secrets: Option<String>,
    /// The payload was dropped from the log before: its hash is all that is left of it there.
    #[serde(default, skip_serializing_if = "is_false")]
    pub data_dropped: bool,
}

/// A line of an export is not what the tree can have said.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// It is not a line of an export.
    #[error("it cannot be read: {0}")]
    Malformed(String),
    /// Metadata or payload are not those whose hash is in it.
    #[error("its {0} is not the one that was hashed")]
    Changed(&'static str),
    /// It does not show its metadata, or the payload of an event that holds no secret.
    #[error("its {0} is absent, so that it cannot be compared with its hash")]
    Absent(&'static str),
    /// It shows its metadata or its payload in more than one way, of which one hash covers one.
    #[error("its {0} is there more than once")]
    Repeated(&'static str),
}

impl ExportedEvent {
    /// What an auditor may see of an event.
    #[must_use]
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
    #[must_use]
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

    /// Reads a line, and makes sure that what it shows is what was hashed. Only the payload of an event that may hold a secret
    /// may be left out ([`Self::is_withheld`]), and one that was dropped ([`Self::data_dropped`]).
    ///
    /// # Errors
    /// When it is not.
    pub fn parse(line: &str) -> Result<Self, LineError> {
        let event: Self =
            serde_json::from_str(line).map_err(|error| LineError::Malformed(error.to_string()))?;
        let shown = shown(
            "metadata",
            event.metadata.as_deref(),
            event.metadata_base64.as_deref(),
        )?;
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
    #[must_use]
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

    /// Whether the payload is withheld, because it holds a secret. Its hash is then all that the tree says of it, and
    /// `data_without_secrets` is what whoever wrote the line says.
    #[must_use]
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
        (None, Some(base64)) => STANDARD
            .decode(base64)
            .map(Some)
            .map_err(|error| LineError::Malformed(error.to_string())),
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
            data: Bytes::from_static(data).into(),
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
        assert!(read.is_withheld());
    }

    #[test]
    fn a_whole_line_gives_the_event_back() {
        for data in [
            &br#"{"email":"a@b","password_hash":"$argon2id$x"}"#[..],
            b"\xff\x00",
        ] {
            let stored = event(data);
            let line = serde_json::to_string(&ExportedEvent::whole(&stored)).unwrap();
            let read = ExportedEvent::parse(&line).unwrap();
            assert!(!read.is_withheld());
            assert_eq!(read.stored(), Some(stored));
        }
        let withheld = ExportedEvent::of(&event(br#"{"password_hash":"$argon2id$x"}"#));
        assert_eq!(withheld.stored(), None);
    }

    #[test]
    fn a_dropped_payload_is_said_to_be_dropped_and_nothing_is_shown_in_its_place() {
        let mut stored = event(b"{}");
        stored.data = StoredPayload::Dropped(stored.data.sha256());
        for exported in [ExportedEvent::of(&stored), ExportedEvent::whole(&stored)] {
            let line = serde_json::to_string(&exported).unwrap();
            let read = ExportedEvent::parse(&line).unwrap();
            assert!(read.data_dropped && !read.is_withheld(), "{line}");
            assert_eq!(read.stored(), Some(stored.clone()));
            let shown = line.replace("\"data_dropped\"", "\"data\":\"{}\",\"data_dropped\"");
            assert_eq!(ExportedEvent::parse(&shown), Err(LineError::Repeated("payload")));
            let undone = line.replace("\"data_dropped\":true", "\"data_dropped\":false");
            assert_eq!(ExportedEvent::parse(&undone), Err(LineError::Absent("payload")));
        }
    }

    #[test]
    fn what_is_absent_is_refused_unless_it_is_withheld_for_its_secrets() {
        let line = |kind: &str, edit: &dyn Fn(&mut ExportedEvent)| {
            let mut stored = event(b"{}");
            kind.clone_into(&mut stored.kind);
            let mut exported = ExportedEvent::of(&stored);
            edit(&mut exported);
            let read = ExportedEvent::parse(&serde_json::to_string(&exported).unwrap());
            read.map(|read| read.is_withheld())
        };
        let withhold = |event: &mut ExportedEvent| {
            event.data = None;
            event.data_without_secrets = Some("{\"email\":\"forged\"}".to_owned());
        };
        assert_eq!(line("task.created", &|_| {}), Ok(false));
        assert_eq!(
            line("task.created", &|event| event.data = None),
            Err(LineError::Absent("payload"))
        );
        assert_eq!(
            line("account.registered", &|event| event.data = None),
            Err(LineError::Absent("payload"))
        );
        assert_eq!(
            line("task.created", &|event| event.metadata = None),
            Err(LineError::Absent("metadata"))
        );
        assert_eq!(line("task.created", &withhold), Err(LineError::Absent("payload")));
        for kind in ["account.registered", "of.a_later_release"] {
            assert_eq!(line(kind, &withhold), Ok(true), "{kind}");
        }
        assert_eq!(
            line("account.registered", &|event| {
                event.data_without_secrets = Some("{}".to_owned());
            }),
            Err(LineError::Repeated("payload"))
        );
        assert_eq!(
            line("task.created", &|event| event.data_base64 =
                Some("e30=".to_owned())),
            Err(LineError::Repeated("payload"))
        );
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
        assert_eq!(ExportedEvent::parse(&changed), Err(LineError::Changed("payload")));
        let changed = line.replace("\"metadata\":\"{}\"", "\"metadata\":\"{ }\"");
        assert_eq!(
            ExportedEvent::parse(&changed),
            Err(LineError::Changed("metadata"))
        );
        assert!(matches!(ExportedEvent::parse("{}"), Err(LineError::Malformed(_))));
    }
}

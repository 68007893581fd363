//! The catalogue of event types: wire name and schema version to typed event and back.

use crate::{
    AccountEvent, AdminsEvent, CodecError, EmailEvent, Encoded, OperationEvent, RecordedEvent, SessionEvent,
    StreamEvent as _, TaskEvent,
};

/// Any event of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Of a `task-` stream.
    Task(TaskEvent),
    /// Of an `account-` stream.
    Account(AccountEvent),
    /// Of a `session-` stream.
    Session(SessionEvent),
    /// Of an `email-` stream.
    Email(EmailEvent),
    /// Of the stream `admins`.
    Admins(AdminsEvent),
    /// Of an `operation-` stream.
    Operation(OperationEvent),
}

impl Event {
    /// Every wire name with the schema version that this build writes.
    pub fn catalog() -> impl Iterator<Item = (&'static str, u16)> {
        [
            TaskEvent::CATALOG,
            AccountEvent::CATALOG,
            SessionEvent::CATALOG,
            EmailEvent::CATALOG,
            AdminsEvent::CATALOG,
            OperationEvent::CATALOG,
        ]
        .into_iter()
        .flatten()
        .copied()
    }

    /// The wire name.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Task(event) => event.kind(),
            Self::Account(event) => event.kind(),
            Self::Session(event) => event.kind(),
            Self::Email(event) => event.kind(),
            Self::Admins(event) => event.kind(),
            Self::Operation(event) => event.kind(),
        }
    }

    /// Writes the payload.
    pub fn encode(&self) -> Encoded {
        match self {
            Self::Task(event) => event.encode(),
            Self::Account(event) => event.encode(),
            Self::Session(event) => event.encode(),
            Self::Email(event) => event.encode(),
            Self::Admins(event) => event.encode(),
            Self::Operation(event) => event.encode(),
        }
    }

    /// Reads a payload, converting an older schema version to the current one.
    ///
    /// # Errors
    /// When the wire name is unknown, the version newer than this build, or the payload malformed.
    pub fn decode(kind: &str, schema_version: u16, data: &[u8]) -> Result<Self, CodecError> {
        TaskEvent::decode(kind, schema_version, data)
            .map(|event| event.map(Self::Task))
            .or_else(|| Some(AccountEvent::decode(kind, schema_version, data)?.map(Self::Account)))
            .or_else(|| Some(SessionEvent::decode(kind, schema_version, data)?.map(Self::Session)))
            .or_else(|| Some(EmailEvent::decode(kind, schema_version, data)?.map(Self::Email)))
            .or_else(|| Some(AdminsEvent::decode(kind, schema_version, data)?.map(Self::Admins)))
            .or_else(|| Some(OperationEvent::decode(kind, schema_version, data)?.map(Self::Operation)))
            .unwrap_or_else(|| Err(CodecError::UnknownType(kind.to_owned())))
    }
}

impl TryFrom<&RecordedEvent> for Event {
    type Error = CodecError;

    fn try_from(event: &RecordedEvent) -> Result<Self, Self::Error> {
        event.check_opened()?;
        Self::decode(&event.kind, event.schema_version, &event.data)
    }
}

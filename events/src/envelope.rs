//! The envelope around an event's payload: who, why, when and where in the log.

use std::{fmt, str::FromStr};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    BoundedText, CodecError, EventId, ParseIdError, StreamName, Timestamp, TokenId, UserId, as_text::as_text,
};

/// Who caused an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Actor {
    /// A signed-in person.
    User(UserId),
    /// A program of a person, with a token that the person made for it.
    Program {
        /// The person whose program it is.
        user: UserId,
        /// The program token that it used.
        token: TokenId,
    },
    /// An operator at the command line.
    Operator,
    /// Taskledger itself, for example when it finds a session expired.
    System,
}

/// Separates the person from the token in the text form of a program.
const PROGRAM: &str = "/token/";

impl Actor {
    /// The person who acts, directly or by a program.
    pub const fn person(&self) -> Option<UserId> {
        match self {
            Self::User(user) | Self::Program { user, .. } => Some(*user),
            Self::Operator | Self::System => None,
        }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => id.fmt(f),
            Self::Program { user, token } => write!(f, "{user}{PROGRAM}{token}"),
            Self::Operator => f.write_str("operator"),
            Self::System => f.write_str("system"),
        }
    }
}

impl FromStr for Actor {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "operator" => Ok(Self::Operator),
            "system" => Ok(Self::System),
            id => match id.split_once(PROGRAM) {
                None => id.parse().map(Self::User),
                Some((user, token)) => Ok(Self::Program { user: user.parse()?, token: token.parse()? }),
            },
        }
    }
}

as_text!(Actor);

/// How the payload bytes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// UTF-8 JSON.
    Json,
    /// A JSON object whose personal members are replaced by one, [`crate::SEALED_MEMBER`], which holds them encrypted
    /// under the key of the subject.
    Sealed,
    /// The payload was dropped from the log and is empty here. Only events that were read have this value: the log
    /// keeps the payload's original encoding.
    Dropped,
}

impl Encoding {
    /// The name that stores and message headers carry.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Sealed => "sealed",
            Self::Dropped => "dropped",
        }
    }
}

impl FromStr for Encoding {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "json" => Ok(Self::Json),
            "sealed" => Ok(Self::Sealed),
            other => Err(format!("unknown event encoding `{other}`")),
        }
    }
}

/// The request id. One that a client chose has at most 128 characters; the rest is room for encrypting it.
pub type CorrelationId = BoundedText<256>;
/// W3C `traceparent`: the part that every version has.
pub type Traceparent = BoundedText<55>;
/// A client's `Idempotency-Key` of at most 255 characters, with room for the index within a batch and for encrypting
/// it.
pub type KeyText = BoundedText<400>;

/// Whom an event is about, who caused it, and what it belongs to. The types bound the values that clients choose,
/// because all metadata is stored with every event and sent in the headers of messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// The person the event is about. Decides its partition.
    pub subject: UserId,
    /// Who caused it.
    pub actor: Actor,
    /// Shared by everything that one request set in motion: the request id.
    pub correlation_id: CorrelationId,
    /// The id of the command that this event answers; all events of one command share it.
    pub causation_id: Uuid,
    /// W3C Trace Context of the request, if it carried one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<Traceparent>,
    /// The client's `Idempotency-Key`, if it sent one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<KeyText>,
}

impl Metadata {
    /// Without a trace context and an idempotency key.
    pub fn new(
        subject: UserId,
        actor: Actor,
        correlation_id: impl Into<CorrelationId>,
        causation_id: Uuid,
    ) -> Self {
        Self {
            subject,
            actor,
            correlation_id: correlation_id.into(),
            causation_id,
            traceparent: None,
            idempotency_key: None,
        }
    }
}

/// An event on its way into the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// Unique in the log.
    pub id: EventId,
    /// Wire name, for example `task.created`.
    pub kind: String,
    /// Version of the payload's schema, from 1.
    pub schema_version: u16,
    /// How `data` is written.
    pub encoding: Encoding,
    /// The payload, kept byte for byte.
    pub data: Bytes,
    /// Whom it is about, who caused it, what it belongs to.
    pub metadata: Metadata,
    /// When the command was accepted, by the clock of the process that decided it.
    pub recorded_at: Timestamp,
}

/// An event as the log holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedEvent {
    /// Place in the whole log, in commit order, from 1 and without gaps in the SQL stores.
    pub position: u64,
    /// The stream it belongs to.
    pub stream: StreamName,
    /// Place in its stream: 1, 2, 3 …
    pub version: u64,
    /// Unique in the log.
    pub id: EventId,
    /// Wire name, for example `task.created`.
    pub kind: String,
    /// Version of the payload's schema, from 1.
    pub schema_version: u16,
    /// How `data` is written.
    pub encoding: Encoding,
    /// The payload, byte for byte as it was appended.
    pub data: Bytes,
    /// Whom it is about, who caused it, what it belongs to.
    pub metadata: Metadata,
    /// When the command was accepted.
    pub recorded_at: Timestamp,
}

impl RecordedEvent {
    /// Whether its payload was dropped from the log. Such an event and those after it say nothing about the state of
    /// the stream, except events that need no earlier state.
    pub fn is_dropped(&self) -> bool {
        self.encoding == Encoding::Dropped
    }

    /// Checks that the payload is complete before it is decoded.
    ///
    /// # Errors
    /// When its personal part is still encrypted, or when the payload was dropped. Without this check a
    /// reader would take the missing members for absent.
    pub fn check_opened(&self) -> Result<(), CodecError> {
        match self.encoding {
            Encoding::Json => Ok(()),
            Encoding::Sealed => Err(CodecError::Sealed(self.kind.clone())),
            Encoding::Dropped => Err(CodecError::Dropped(self.kind.clone())),
        }
    }
}

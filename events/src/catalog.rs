//! The catalogue of event types and their codec: wire name and schema version to typed event and back.

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    AccountEvent, AdminsEvent, EmailEvent, Encoding, RecordedEvent, SessionEvent, TaskEvent, upcast,
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
}

/// A payload ready for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// Wire name.
    pub kind: &'static str,
    /// The schema version that this build writes.
    pub schema_version: u16,
    /// How `data` is written.
    pub encoding: Encoding,
    /// The payload.
    pub data: Bytes,
}

/// A payload that this build cannot read.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// No event of the catalogue has this wire name.
    #[error("unknown event type `{0}`")]
    UnknownType(String),
    /// Written by a newer build.
    #[error("event type `{kind}` has schema version {found}, this build reads up to {known}")]
    NewerVersion {
        /// Wire name.
        kind: String,
        /// The version in the log.
        found: u16,
        /// The newest version that this build knows.
        known: u16,
    },
    /// The payload is not what its type and version say.
    #[error("event type `{kind}` version {schema_version} has a malformed payload")]
    Malformed {
        /// Wire name.
        kind: String,
        /// The version in the log.
        schema_version: u16,
        /// What the JSON reader found.
        #[source]
        source: serde_json::Error,
    },
}

/// Declares the enum of one stream kind's events as a table `Variant(Payload) = "wire.name", version`.
macro_rules! catalog {
    ($(#[$doc:meta])* $name:ident { $($variant:ident($payload:ty) = $wire:literal, $version:literal;)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum $name {
            $(
                #[doc = concat!("`", $wire, "`")]
                $variant($payload),
            )+
        }

        $(
            impl From<$payload> for $name {
                fn from(payload: $payload) -> Self {
                    Self::$variant(payload)
                }
            }
        )+

        impl $name {
            /// Every wire name with the schema version that this build writes.
            pub const CATALOG: &'static [(&'static str, u16)] = &[$(($wire, $version)),+];

            /// The wire name.
            #[must_use]
            pub const fn kind(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $wire,)+
                }
            }

            /// Writes the payload.
            #[must_use]
            pub fn encode(&self) -> $crate::Encoded {
                match self {
                    $(Self::$variant(payload) => $crate::catalog::encode_payload($wire, $version, payload),)+
                }
            }

            /// Reads a payload; `None` when the wire name is of another stream kind.
            pub(crate) fn decode(
                kind: &str,
                schema_version: u16,
                data: &[u8],
            ) -> Option<Result<Self, $crate::CodecError>> {
                match kind {
                    $($wire => Some(
                        $crate::catalog::decode_payload::<$payload>($wire, $version, schema_version, data)
                            .map(Self::$variant),
                    ),)+
                    _ => None,
                }
            }
        }

        impl $crate::StreamEvent for $name {
            fn encode(&self) -> $crate::Encoded {
                self.encode()
            }

            fn decode(
                kind: &str,
                schema_version: u16,
                data: &[u8],
            ) -> Option<Result<Self, $crate::CodecError>> {
                Self::decode(kind, schema_version, data)
            }
        }
    };
}
pub(crate) use catalog;

pub(crate) fn encode_payload<T: Serialize>(kind: &'static str, schema_version: u16, payload: &T) -> Encoded {
    // Payloads are plain structs of strings, numbers and lists: writing them as JSON cannot fail.
    let data = serde_json::to_vec(payload).unwrap_or_default();
    Encoded {
        kind,
        schema_version,
        encoding: Encoding::Json,
        data: data.into(),
    }
}

pub(crate) fn decode_payload<T: DeserializeOwned>(
    kind: &'static str,
    current: u16,
    schema_version: u16,
    data: &[u8],
) -> Result<T, CodecError> {
    let malformed = |source| CodecError::Malformed {
        kind: kind.to_owned(),
        schema_version,
        source,
    };
    if schema_version == current {
        return serde_json::from_slice(data).map_err(malformed);
    }
    if schema_version > current || schema_version == 0 {
        return Err(CodecError::NewerVersion {
            kind: kind.to_owned(),
            found: schema_version,
            known: current,
        });
    }
    let old = serde_json::from_slice(data).map_err(malformed)?;
    serde_json::from_value(upcast::upcast(kind, schema_version, current, old)).map_err(malformed)
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
        ]
        .into_iter()
        .flatten()
        .copied()
    }

    /// The wire name.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Task(event) => event.kind(),
            Self::Account(event) => event.kind(),
            Self::Session(event) => event.kind(),
            Self::Email(event) => event.kind(),
            Self::Admins(event) => event.kind(),
        }
    }

    /// Writes the payload.
    #[must_use]
    pub fn encode(&self) -> Encoded {
        match self {
            Self::Task(event) => event.encode(),
            Self::Account(event) => event.encode(),
            Self::Session(event) => event.encode(),
            Self::Email(event) => event.encode(),
            Self::Admins(event) => event.encode(),
        }
    }

    /// Reads a payload, lifting an older schema version to the current one.
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
            .unwrap_or_else(|| Err(CodecError::UnknownType(kind.to_owned())))
    }
}

impl TryFrom<&RecordedEvent> for Event {
    type Error = CodecError;

    fn try_from(event: &RecordedEvent) -> Result<Self, Self::Error> {
        Self::decode(&event.kind, event.schema_version, &event.data)
    }
}

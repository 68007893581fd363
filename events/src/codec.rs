//! How the payloads of one kind of stream are written and read, by a table of their wire names and schema versions.

use serde::{Serialize, de::DeserializeOwned};

use crate::{CodecError, Encoded, Encoding, upcast};

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

            impl $payload {
                /// The wire name.
                pub const KIND: &'static str = $wire;

                /// Whether events of the type `kind` are this one.
                pub fn has_kind(kind: &str) -> bool {
                    kind == Self::KIND
                }
            }
        )+

        impl $name {
            /// Every wire name with the schema version that this build writes.
            pub const CATALOG: &'static [(&'static str, u16)] = &[$(($wire, $version)),+];

            /// The wire name.
            pub const fn kind(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $wire,)+
                }
            }

            /// Writes the payload.
            pub fn encode(&self) -> $crate::Encoded {
                match self {
                    $(Self::$variant(payload) => $crate::codec::encode_payload($wire, $version, payload),)+
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
                match kind {
                    $($wire => Some(
                        $crate::codec::decode_payload::<$payload>($wire, $version, schema_version, data)
                            .map(Self::$variant),
                    ),)+
                    _ => None,
                }
            }
        }
    };
}
pub(crate) use catalog;

pub(crate) fn encode_payload<T: Serialize>(kind: &'static str, schema_version: u16, payload: &T) -> Encoded {
    // Payloads are plain structs of strings, numbers and lists: writing them as JSON cannot fail.
    let data = serde_json::to_vec(payload).unwrap_or_default();
    Encoded { kind, schema_version, encoding: Encoding::Json, data: data.into() }
}

pub(crate) fn decode_payload<T: DeserializeOwned>(
    kind: &'static str,
    current: u16,
    schema_version: u16,
    data: &[u8],
) -> Result<T, CodecError> {
    let malformed = |source| CodecError::Malformed { kind: kind.to_owned(), schema_version, source };
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

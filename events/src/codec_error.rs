//! Why the payload of an event cannot be read.

/// A payload that this build cannot read.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant has its message")]
pub enum CodecError {
    #[error("unknown event type `{0}`")]
    UnknownType(String),
    #[error("event type `{0}` is sealed")]
    Sealed(String),
    #[error("the payload of an event of type `{0}` was dropped from the log")]
    Dropped(String),
    #[error("event type `{kind}` has schema version {found}, this build reads up to {known}")]
    NewerVersion {
        /// The wire name of its type.
        kind: String,
        /// The version in the log.
        found: u16,
        /// The newest version that this build knows.
        known: u16,
    },
    #[error("event type `{kind}` version {schema_version} has a malformed payload")]
    Malformed {
        /// The wire name of its type.
        kind: String,
        /// The version in the log.
        schema_version: u16,
        /// What the JSON reader found.
        #[source]
        source: serde_json::Error,
    },
}

//! Why the payload of an event cannot be read.

/// A payload that this build cannot read.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// No event of the catalogue has this wire name.
    #[error("unknown event type `{0}`")]
    UnknownType(String),
    /// Its personal part is still encrypted.
    #[error("event type `{0}` is sealed")]
    Sealed(String),
    /// Its payload was dropped from the log.
    #[error("the payload of an event of type `{0}` was dropped from the log")]
    Dropped(String),
    /// Written by a newer build.
    #[error("event type `{kind}` has schema version {found}, this build reads up to {known}")]
    NewerVersion {
        /// The wire name of its type.
        kind: String,
        /// The version in the log.
        found: u16,
        /// The newest version that this build knows.
        known: u16,
    },
    /// The payload is not what its type and version say.
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

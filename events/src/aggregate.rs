//! The traits of everything whose state is the fold of its own stream of events.

use std::{fmt::Debug, hash::Hash};

use crate::{CodecError, Encoded, StreamName, Timestamp};

/// The events of one kind of stream. The tables of the catalogue implement it.
pub trait StreamEvent: Debug + Clone + PartialEq + Send + Sync + Sized + 'static {
    /// Writes the payload.
    fn encode(&self) -> Encoded;

    /// Reads a payload; `None` when the wire name is of another kind of stream.
    fn decode(kind: &str, schema_version: u16, data: &[u8]) -> Option<Result<Self, CodecError>>;
}

/// The state of something after some version of its stream.
pub trait Aggregate: Debug + Clone + Send + Sync + Sized + 'static {
    /// The identifier.
    type Id: Debug + Hash + Eq + Clone + Send + Sync + 'static;
    /// The type of its events.
    type Event: StreamEvent;

    /// The stream that holds its events.
    fn stream(id: &Self::Id) -> StreamName;

    /// The state after `event`, which is version `version` of the stream of `id`, accepted at `at`.
    ///
    /// Defined for every event: one that does not fit changes nothing but the version.
    fn evolve(
        state: Option<Self>,
        id: &Self::Id,
        event: &Self::Event,
        version: u64,
        at: Timestamp,
    ) -> Option<Self>;
}

//! An aggregate as its stream makes it, and where the stream ended then.

use event_store::StreamHead;
use events::{Aggregate, CodecError, RecordedEvent, StreamEvent as _, Timestamp};

use crate::Written;

/// An aggregate as its stream says, up to some event.
#[derive(Debug, Clone)]
pub struct Loaded<A> {
    /// `None`: nothing has come to be, or it has ended and what it was is dropped from the log.
    pub state: Option<A>,
    /// The last event that was folded; `None` for an empty stream.
    pub end: Option<StreamHead>,
    /// The latest time at which one of the events was accepted.
    pub recorded_at: Timestamp,
}

impl<A> Default for Loaded<A> {
    fn default() -> Self {
        Self {
            state: None,
            end: None,
            recorded_at: Timestamp::MIN,
        }
    }
}

impl<A> Loaded<A> {
    /// The version of the stream; 0 for an empty one.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.end.map_or(0, |end| end.version)
    }

    /// The log's position of the last event; 0 for an empty stream.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.end.map_or(0, |end| end.position)
    }
}

impl<A: Aggregate> Loaded<A> {
    /// Whether it is the state of a stream that ends at `head`.
    pub(crate) fn is_at(&self, head: StreamHead) -> bool {
        self.end
            .is_some_and(|end| (end.version, end.id) == (head.version, head.id))
    }

    /// Folds one more event of the stream of `id` in.
    pub(crate) fn fold(&mut self, id: &A::Id, recorded: &RecordedEvent) -> Result<(), CodecError> {
        self.state = if recorded.is_dropped() {
            None
        } else {
            recorded.check_opened()?;
            let event = A::Event::decode(&recorded.kind, recorded.schema_version, &recorded.data)
                .unwrap_or_else(|| Err(CodecError::UnknownType(recorded.kind.clone())))?;
            let (version, at) = (recorded.version, recorded.recorded_at);
            A::evolve(self.state.take(), id, &event, version, at)
        };
        self.recorded_at = self.recorded_at.max(recorded.recorded_at);
        self.end = Some(StreamHead {
            version: recorded.version,
            position: recorded.position,
            id: recorded.id,
        });
        Ok(())
    }

    /// The aggregate after `events`, which were appended to it.
    pub(crate) fn after(mut self, id: &A::Id, events: &[A::Event], written: Written) -> Self {
        let versions = self.version() + 1..;
        self.state = events
            .iter()
            .zip(versions)
            .fold(self.state, |state, (event, version)| {
                A::evolve(state, id, event, version, written.at)
            });
        self.recorded_at = written.at;
        self.end = Some(written.end);
        self
    }
}

//! An aggregate as loaded from its stream, with the end of the stream.

use event_store::StreamHead;
use events::{Aggregate, CodecError, RecordedEvent, StreamEvent as _, Timestamp};

use crate::Written;

/// An aggregate folded from its stream up to some event.
#[derive(Debug, Clone)]
pub struct Loaded<A> {
    /// The state. `None` when the stream has no creating event, or when the aggregate has ended and its payloads were
    /// dropped.
    pub state: Option<A>,
    /// The last event that was folded; `None` for an empty stream.
    pub end: Option<StreamHead>,
    /// The latest recording time of its events.
    pub recorded_at: Timestamp,
}

impl<A> Default for Loaded<A> {
    fn default() -> Self {
        Self { state: None, end: None, recorded_at: Timestamp::MIN }
    }
}

impl<A> Loaded<A> {
    /// The version of the stream; 0 for an empty one.
    pub fn version(&self) -> u64 {
        self.end.map_or(0, |end| end.version)
    }

    /// The log's position of the last event; 0 for an empty stream.
    pub fn position(&self) -> u64 {
        self.end.map_or(0, |end| end.position)
    }
}

impl<A: Aggregate> Loaded<A> {
    /// Whether the stream still ends where this state does, at `head`.
    pub(crate) fn is_at(&self, head: StreamHead) -> bool {
        self.end.is_some_and(|end| (end.version, end.id) == (head.version, head.id))
    }

    /// Folds in one more event of the stream of `id`.
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
        self.end =
            Some(StreamHead { version: recorded.version, position: recorded.position, id: recorded.id });
        Ok(())
    }

    /// The aggregate after the appended `events`.
    pub(crate) fn after(mut self, id: &A::Id, events: &[A::Event], written: Written) -> Self {
        let versions = self.version() + 1..;
        self.state = events
            .iter()
            .zip(versions)
            .fold(self.state, |state, (event, version)| A::evolve(state, id, event, version, written.at));
        self.recorded_at = written.at;
        self.end = Some(written.end);
        self
    }
}

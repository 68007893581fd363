//! Folds the records of a stream, and decides what a record means that cannot be read.

use event_store::{Entry, StoreError, StreamHead, Unreadable};
use events::{Aggregate, EventId, RecordedEvent};
use uuid::Uuid;

use crate::{Loaded, RepositoryError};

/// Reads the records of one kind of aggregate.
pub(crate) struct RecordReader<A> {
    /// Whether a record of a person whose key is damaged or lost is read with placeholders.
    pub(crate) is_impersonal: bool,
    /// The state after a record that cannot be read. `None` where such a record makes the stream unreadable.
    pub(crate) after_unreadable: Option<fn(Option<A>) -> A>,
}

impl<A> Default for RecordReader<A> {
    fn default() -> Self {
        Self { is_impersonal: false, after_unreadable: None }
    }
}

impl<A: Aggregate> RecordReader<A> {
    pub(crate) fn read(&self, entry: Entry) -> Result<RecordedEvent, StoreError> {
        match entry {
            Err(Unreadable { impersonal: Some(event), .. }) if self.is_impersonal => Ok(*event),
            other => other.map_err(StoreError::from),
        }
    }

    /// Folds one more record of the stream of `id` into `loaded`. Returns its event; `None` when it cannot be read and
    /// the state goes on without it.
    pub(crate) fn fold(
        &self,
        loaded: &mut Loaded<A>,
        id: &A::Id,
        entry: Entry,
    ) -> Result<Option<RecordedEvent>, RepositoryError> {
        let end = end_of(&entry);
        let folded = self.read(entry).map_err(RepositoryError::from).and_then(|event| {
            loaded.fold(id, &event)?;
            Ok(event)
        });
        match (folded, self.after_unreadable) {
            (Err(error), Some(after_unreadable)) => {
                tracing::error!(
                    %error,
                    stream = A::stream(id).as_str(),
                    version = end.version,
                    "a record on which others depend cannot be read, going on without it"
                );
                loaded.state = Some(after_unreadable(loaded.state.take()));
                loaded.end = Some(end);
                Ok(None)
            }
            (folded, _) => folded.map(Some),
        }
    }
}

/// The place of a record as the end of what was folded. One that cannot be read gets the id of no event, so that its
/// stream is read again the next time: this build may be the older one, or the record may be mended.
fn end_of(entry: &Entry) -> StreamHead {
    match entry {
        Ok(event) => StreamHead { version: event.version, position: event.position, id: event.id },
        Err(unreadable) => StreamHead {
            version: unreadable.version,
            position: unreadable.position,
            id: EventId(Uuid::nil()),
        },
    }
}

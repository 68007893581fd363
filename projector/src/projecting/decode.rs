//! Decoded events from the log or the bus, or the reasons why they cannot be decoded.

use bytes::Bytes;
use event_store::{Entry, EventStore, StoreError, Unreadable};
use events::{
    Actor, Encoding, Event, EventId, LogPoint, Metadata, RecordedEvent, StreamKind, Timestamp, UserId,
};
use runtime::with_causes;
use uuid::Uuid;

/// The beginning of the reason for which an event is parked whose person's key cannot be used. The index
/// `parked_events_without_key` has it, too.
pub(crate) const WITHOUT_KEY: &str = "it cannot be opened";

/// An event and its decoded payload.
#[derive(Debug, Clone)]
pub(crate) struct Decoded {
    pub(crate) record: RecordedEvent,
    /// The event, or why this build cannot read it.
    pub(crate) payload: Result<Event, String>,
    pub(crate) reading: Reading,
}

/// How much of a record could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// All of it.
    Whole,
    /// All but the personal data, which has placeholders because the key of its person is unusable.
    WithoutKey,
    /// Only the position and some other facts, because the envelope is unreadable.
    Place,
}

impl Decoded {
    /// Its point in the log. Only a record whose id cannot be read either has none there.
    pub(crate) fn point(&self) -> LogPoint {
        LogPoint { position: self.record.position, id: Some(self.record.id).filter(|id| !id.0.is_nil()) }
    }
}

/// Decodes records of the log. An unreadable record gets the person of its stream as the subject, so that it is in
/// the same partition.
pub(crate) async fn decode(store: &dyn EventStore, entries: Vec<Entry>) -> Result<Vec<Decoded>, StoreError> {
    let mut events = Vec::with_capacity(entries.len());
    for entry in entries {
        events.push(match entry {
            Ok(record) => record.into(),
            Err(unreadable) => {
                let subject = subject_of(store, &unreadable).await?;
                Decoded::unreadable(unreadable, subject)
            }
        });
    }
    Ok(events)
}

/// The subject according to the log up to the record, which never changes, so every process gets the same answer.
async fn subject_of(store: &dyn EventStore, unreadable: &Unreadable) -> Result<UserId, StoreError> {
    const PAGE: usize = 10;
    if let Some(subject) = unreadable.subject {
        return Ok(subject);
    }
    if let Ok(StreamKind::Account(id)) = unreadable.stream.kind() {
        return Ok(id);
    }
    let mut version = 0;
    loop {
        let page = store.stream_page(&unreadable.stream, version, PAGE).await?;
        if let Some(event) = page.entries.iter().flatten().next() {
            return Ok(if event.position < unreadable.position {
                event.metadata.subject
            } else {
                UserId::NOBODY
            });
        }
        let Some(last) = page.version().filter(|last| page.more && *last > version) else {
            return Ok(UserId::NOBODY);
        };
        version = last;
    }
}

impl Decoded {
    fn unreadable(unreadable: Unreadable, subject: UserId) -> Self {
        if let Some(record) = unreadable.impersonal {
            return Self {
                record: *record,
                payload: Err(format!("{WITHOUT_KEY}: {}", unreadable.reason)),
                reading: Reading::WithoutKey,
            };
        }
        let payload = Err(format!("its record cannot be read: {}", unreadable.reason));
        Self {
            record: RecordedEvent {
                position: unreadable.position,
                stream: unreadable.stream,
                version: unreadable.version,
                id: unreadable.id.unwrap_or(EventId(Uuid::nil())),
                kind: unreadable.kind.into(),
                schema_version: 0,
                encoding: Encoding::Json,
                data: Bytes::new(),
                metadata: Metadata::new(subject, Actor::System, "", Uuid::nil()),
                recorded_at: Timestamp::from_micros(0),
            },
            payload,
            reading: Reading::Place,
        }
    }
}

impl From<RecordedEvent> for Decoded {
    fn from(record: RecordedEvent) -> Self {
        let payload = Event::try_from(&record).map_err(|error| with_causes(&error));
        Self { record, payload, reading: Reading::Whole }
    }
}

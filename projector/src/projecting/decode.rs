//! Events from the log or the bus with their payloads read, or with the reason why they cannot be.

use std::error::Error;

use bytes::Bytes;
use event_store::{EventStore, Page, StoreError, Unreadable};
use events::{
    Actor, Encoding, Event, EventId, LogPoint, Metadata, RecordedEvent, StreamKind, Timestamp, UserId,
};
use uuid::Uuid;

/// An event and what its payload says.
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
    /// All but what is personal, since the key of its person cannot be used: placeholders are in its place.
    WithoutKey,
    /// Not even its envelope: only its place is known, and what else could be found out.
    Place,
}

impl Decoded {
    /// Its place in the log.
    pub(crate) fn point(&self) -> LogPoint {
        LogPoint {
            position: self.record.position,
            id: (self.reading != Reading::Place).then_some(self.record.id),
        }
    }
}

/// The records of a page, decoded. Those that cannot be read get the person to whom their stream belongs, so that
/// they are in one partition with it.
pub(crate) async fn decode(store: &dyn EventStore, page: Page) -> Result<Vec<Decoded>, StoreError> {
    let mut events = Vec::with_capacity(page.entries.len());
    for entry in page.entries {
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

/// What the log up to the record says, which never changes: whoever asks, whenever, gets the same answer.
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
        let payload = Err(format!("its record cannot be read: {}", unreadable.reason));
        if let Some(record) = unreadable.impersonal {
            return Self {
                record: *record,
                payload,
                reading: Reading::WithoutKey,
            };
        }
        Self {
            record: RecordedEvent {
                position: unreadable.position,
                stream: unreadable.stream,
                version: unreadable.version,
                id: EventId(Uuid::nil()),
                kind: unreadable.kind,
                schema_version: 0,
                encoding: Encoding::Json,
                data: Bytes::new(),
                metadata: Metadata {
                    subject,
                    actor: Actor::System,
                    correlation_id: "".into(),
                    causation_id: Uuid::nil(),
                    traceparent: None,
                    idempotency_key: None,
                },
                recorded_at: Timestamp::from_micros(0),
            },
            payload,
            reading: Reading::Place,
        }
    }
}

impl From<RecordedEvent> for Decoded {
    fn from(record: RecordedEvent) -> Self {
        let payload = Event::try_from(&record).map_err(|error| sentence(&error));
        Self {
            record,
            payload,
            reading: Reading::Whole,
        }
    }
}

/// An error with everything that caused it, in one line.
pub(crate) fn sentence(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        let next = source.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = source.source();
    }
    text
}

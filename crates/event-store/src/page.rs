//! A page of the log or of a stream. Each record is decoded separately, so that an unreadable one does not affect the
//! others.

use events::{EventId, LogPoint, RecordedEvent, StreamName, UserId};

use crate::StoreError;

/// A page ends with the record that brings it to this many bytes, however many records were asked for.
pub const PAGE_BYTES: usize = 4 * 1024 * 1024;

/// One record: an event, or the known parts of one that cannot be read.
pub type Entry = Result<RecordedEvent, Unreadable>;

/// Consecutive records of the log or of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// The records, in order.
    pub entries: Vec<Entry>,
    /// Whether there may be more after these: the page is full by number or by bytes.
    pub more: bool,
}

/// A record whose envelope this build cannot read, because it has an unknown encoding or other metadata, or is
/// damaged. The fields are the parts that are still known. The texts are boxed, because results with this error are
/// moved a lot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the record at position {position}, version {version} of stream {stream}, cannot be read: {reason}")]
pub struct Unreadable {
    /// Place in the whole log.
    pub position: u64,
    /// The stream that the record belongs to.
    pub stream: StreamName,
    /// Place in its stream; 0 when it cannot be read.
    pub version: u64,
    /// Its id, which is stored beside the envelope, if that can be read.
    pub id: Option<EventId>,
    /// Wire name of its type.
    pub kind: Box<str>,
    /// The person that it is about, if its metadata still has that.
    pub subject: Option<UserId>,
    /// Why it cannot be read.
    pub reason: Box<str>,
    /// The event with placeholders for personal data, if only the key of its person is unusable.
    pub impersonal: Option<Box<RecordedEvent>>,
}

impl Unreadable {
    /// Its point in the log.
    pub fn point(&self) -> LogPoint {
        LogPoint { position: self.position, id: self.id }
    }
}

impl Page {
    /// The position of its last record.
    pub fn position(&self) -> Option<u64> {
        self.entries.last().map(position)
    }

    /// The version of its last record, in a page of a stream.
    pub fn version(&self) -> Option<u64> {
        self.entries.last().map(|entry| match entry {
            Ok(event) => event.version,
            Err(unreadable) => unreadable.version,
        })
    }

    /// The events of the page.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] or [`StoreError::KeyUnusable`], which names the first record that cannot be read.
    pub fn readable(self) -> Result<Vec<RecordedEvent>, StoreError> {
        self.entries.into_iter().map(|entry| entry.map_err(StoreError::from)).collect()
    }
}

/// The position of a record.
pub fn position(entry: &Entry) -> u64 {
    match entry {
        Ok(event) => event.position,
        Err(unreadable) => unreadable.position,
    }
}

impl From<Unreadable> for StoreError {
    fn from(unreadable: Unreadable) -> Self {
        match unreadable.impersonal {
            None => Self::Corrupt(unreadable.to_string()),
            Some(_) => Self::KeyUnusable(unreadable.to_string()),
        }
    }
}

/// The person in the metadata, even if the rest of them cannot be read.
pub fn subject_of(metadata: &[u8]) -> Option<UserId> {
    #[derive(serde::Deserialize)]
    struct Subject {
        subject: UserId,
    }
    serde_json::from_slice::<Subject>(metadata).ok().map(|found| found.subject)
}

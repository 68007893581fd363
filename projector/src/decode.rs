//! Events from the log or the bus with their payloads read, or with the reason why they cannot be.

use std::error::Error;

use events::{Event, RecordedEvent};

/// An event and what its payload says.
#[derive(Debug, Clone)]
pub(crate) struct Decoded {
    pub(crate) record: RecordedEvent,
    /// The event, or why this build cannot read it.
    pub(crate) payload: Result<Event, String>,
}

impl From<RecordedEvent> for Decoded {
    fn from(record: RecordedEvent) -> Self {
        let payload = Event::try_from(&record).map_err(|error| sentence(&error));
        Self { record, payload }
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

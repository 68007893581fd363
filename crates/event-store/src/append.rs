//! An append on its way from the caller to the log.

use events::{NewEvent, StreamName, UserId};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::{Appended, StoreError};

#[derive(Debug)]
pub(crate) struct Append {
    pub(crate) stream: StreamName,
    pub(crate) expected_version: u64,
    pub(crate) events: Vec<PreparedEvent>,
    /// The person that the events are about.
    pub(crate) subject: UserId,
    /// Its share of the queue's capacity.
    pub(crate) _room: OwnedSemaphorePermit,
    pub(crate) answer: oneshot::Sender<Result<Appended, StoreError>>,
}

/// An event with its metadata already encoded, so that the append task has less work.
#[derive(Debug)]
pub(crate) struct PreparedEvent {
    pub(crate) event: NewEvent,
    pub(crate) metadata: String,
}

/// The result of one append of a committed batch.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Outcome {
    Appended(Appended),
    Conflict { actual: u64 },
}

impl PreparedEvent {
    pub(crate) fn new(event: NewEvent) -> Result<Self, StoreError> {
        let metadata = serde_json::to_string(&event.metadata).map_err(StoreError::unavailable)?;
        Ok(Self { event, metadata })
    }

    pub(crate) fn bytes(&self) -> usize {
        self.event.data.len() + self.metadata.len()
    }
}

impl Append {
    pub(crate) fn bytes(&self) -> usize {
        self.events.iter().map(PreparedEvent::bytes).sum()
    }

    /// Whether the caller has stopped waiting.
    pub(crate) fn is_given_up(&self) -> bool {
        self.answer.is_closed()
    }

    /// Returns the result to the caller.
    pub(crate) fn answer(self, result: Result<Outcome, StoreError>) {
        let answer = match result {
            Ok(Outcome::Appended(appended)) => Ok(appended),
            Ok(Outcome::Conflict { actual }) => {
                Err(StoreError::Conflict { stream: self.stream, expected: self.expected_version, actual })
            }
            Err(error) => Err(error),
        };
        // The caller may have gone.
        let _ = self.answer.send(answer);
    }
}

impl Outcome {
    pub(crate) fn position(&self) -> Option<u64> {
        match self {
            Self::Appended(appended) => Some(appended.position),
            Self::Conflict { .. } => None,
        }
    }
}

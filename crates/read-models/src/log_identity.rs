//! Whether the read models come from the present log. After a restore, a failover that lost the last events, or a
//! change of the log, the same positions have other events. Then a checkpoint does not show what was projected.

use std::sync::Arc;

use event_store::{EventStore, StoreError, agrees};
use events::{ConsistencyToken, EventId, LogPoint};
use tokio::sync::watch;

/// The message for the operator.
pub const OTHER_LOG: &str =
    "the read models do not come from this log: run `taskledger restore check --repair`";

/// What the log has of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InLog {
    /// The event.
    There,
    /// Another event at its position, or none: it will never be projected.
    Not,
    /// Nothing yet: the log ends before its position.
    BeyondTheEnd,
}

/// Compares points with the log, and keeps the result for the checkpoints, for the whole process.
#[derive(Clone)]
pub struct LogIdentity {
    store: Arc<dyn EventStore>,
    /// The number of checkpoints whose event the log does not have.
    mismatches: Arc<watch::Sender<usize>>,
}

impl LogIdentity {
    /// Creates it without a complaint, until the first [`Self::note`].
    pub fn new(store: Arc<dyn EventStore>) -> Self {
        Self { store, mismatches: Arc::new(watch::Sender::new(0)) }
    }

    /// For each of `points`, whether the log has its event at its position. Nothing is remembered.
    ///
    /// # Errors
    /// When the log does not answer.
    pub async fn agrees(&self, points: &[LogPoint]) -> Result<Vec<bool>, StoreError> {
        agrees(&*self.store, points).await
    }

    /// What the log has of the event that `token` names.
    ///
    /// # Errors
    /// When the log does not answer.
    pub(crate) async fn find(&self, token: ConsistencyToken) -> Result<InLog, StoreError> {
        if token.position == 0 {
            return Ok(InLog::There);
        }
        let mut found = self.event_at(token.position).await?;
        if found.is_none() {
            if self.store.head().await? < token.position {
                return Ok(InLog::BeyondTheEnd);
            }
            // It may have been appended meanwhile.
            found = self.event_at(token.position).await?;
        }
        Ok(match found {
            Some(id) if token.may_name(id) => InLog::There,
            _ => InLog::Not,
        })
    }

    async fn event_at(&self, position: u64) -> Result<Option<EventId>, StoreError> {
        let found = self.store.identify(&[position]).await?;
        Ok(found.into_iter().next().flatten())
    }

    /// Records how many checkpoints name an event that the log does not have. Returns the previous number.
    pub fn note(&self, mismatches: usize) -> usize {
        self.mismatches.send_replace(mismatches)
    }

    /// Why the checkpoints cannot be relied on, in a sentence for the operator; `None` if they can.
    pub fn complaint(&self) -> Option<&'static str> {
        (*self.mismatches.borrow() > 0).then_some(OTHER_LOG)
    }

    /// Waits until there is no complaint.
    pub async fn agreed(&self) {
        // Never fails: `self` keeps the sender.
        let _ = self.mismatches.subscribe().wait_for(|mismatches| *mismatches == 0).await;
    }
}

//! Whether the read models come from the log that is there. After a restore, a failover that lost the last events, or a
//! swap of the log, positions mean other events: a checkpoint then says nothing about what has been projected.

use std::sync::Arc;

use event_store::{EventStore, StoreError, agrees};
use events::{ConsistencyToken, LogPoint};
use tokio::sync::watch;

/// What the operator is told.
const OTHER_LOG: &str = "the read models do not come from this log: run `taskledger restore check --repair`";

/// Asks the log whether it has what was kept beside a position, and remembers for everybody in this process what came of it
/// for the checkpoints.
#[derive(Clone)]
pub struct LogIdentity {
    store: Arc<dyn EventStore>,
    /// Checkpoints that name an event which the log does not have.
    mismatches: Arc<watch::Sender<usize>>,
}

impl LogIdentity {
    /// Until the first [`Self::note`] there is nothing to complain of.
    #[must_use]
    pub fn new(store: Arc<dyn EventStore>) -> Self {
        Self {
            store,
            mismatches: Arc::new(watch::Sender::new(0)),
        }
    }

    /// For each of `points`, whether the log has its event at its position. Nothing is remembered.
    ///
    /// # Errors
    /// When the log does not answer.
    pub async fn agrees(&self, points: &[LogPoint]) -> Result<Vec<bool>, StoreError> {
        agrees(&*self.store, points).await
    }

    /// Whether the log has the event that `token` names. One that it does not have is never projected.
    ///
    /// # Errors
    /// When the log does not answer.
    pub async fn has(&self, token: ConsistencyToken) -> Result<bool, StoreError> {
        if token.position == 0 {
            return Ok(true);
        }
        let found = self.store.identify(&[token.position]).await?;
        Ok(found
            .into_iter()
            .all(|found| found.is_some_and(|id| token.may_name(id))))
    }

    /// Remembers how many checkpoints name an event that the log does not have. Returns how many there were before.
    pub fn note(&self, mismatches: usize) -> usize {
        self.mismatches.send_replace(mismatches)
    }

    /// Why nobody can rely on the checkpoints now, if so: a sentence for the operator.
    #[must_use]
    pub fn complaint(&self) -> Option<&'static str> {
        (*self.mismatches.borrow() > 0).then_some(OTHER_LOG)
    }

    /// Waits until there is nothing to complain of.
    pub async fn agreed(&self) {
        // Ends never: `self` keeps the sender.
        let _ = self
            .mismatches
            .subscribe()
            .wait_for(|mismatches| *mismatches == 0)
            .await;
    }
}

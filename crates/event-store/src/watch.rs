//! Notices that the log is no longer the one that it was, for whoever keeps in memory what came from it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use events::LogPoint;
use tokio::sync::watch;

use crate::{EventStore, StoreError, agrees, head_point};

/// How often the log is compared with what was seen of it.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Keeps the furthest place of the log that this process has seen, and compares it with the log about once a second.
pub struct LogWatch {
    store: Arc<dyn EventStore>,
    furthest: Mutex<LogPoint>,
    replaced: watch::Sender<u64>,
}

impl LogWatch {
    /// Watches `store` once [`Self::run`] runs.
    #[must_use]
    pub fn new(store: Arc<dyn EventStore>) -> Self {
        Self {
            store,
            furthest: Mutex::new(LogPoint::START),
            replaced: watch::Sender::new(0),
        }
    }

    /// Remembers a place that this process has seen, if none further is known.
    pub fn saw(&self, point: LogPoint) {
        let mut furthest = self.furthest();
        if point.position > furthest.position {
            *furthest = point;
        }
    }

    /// How often the log was found to be another. Changes each time.
    #[must_use]
    pub fn replaced(&self) -> watch::Receiver<u64> {
        self.replaced.subscribe()
    }

    /// Compares again and again; never returns. While the log cannot be asked nothing is said about it, and what was
    /// seen before is compared when it answers again.
    pub async fn run(&self) {
        loop {
            if let Err(error) = self.look().await {
                tracing::debug!(%error, "cannot compare the log with what was seen of it");
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn look(&self) -> Result<(), StoreError> {
        let seen = *self.furthest();
        let same = agrees(&*self.store, &[seen])
            .await?
            .into_iter()
            .all(|agrees| agrees);
        let head = head_point(&*self.store).await?;
        if same {
            self.saw(head);
            return Ok(());
        }
        *self.furthest() = head;
        tracing::error!(
            event.position = seen.position,
            head = head.position,
            "the log has lost events that it had: it was restored, or a standby without them was promoted"
        );
        self.replaced.send_modify(|times| *times += 1);
        Ok(())
    }

    fn furthest(&self) -> std::sync::MutexGuard<'_, LogPoint> {
        // A point is written whole, so a poisoned lock is as good as any.
        self.furthest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! Notices that the log is no longer the one that it was, for whoever keeps in memory what came from it.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use events::LogPoint;

use crate::{EventStore, StoreError, agrees, head_point};

/// How often the log is compared with what was seen of it.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// So long after a look the log is taken for the same: a look, the pause and some patience.
const VOUCHES_FOR: Duration = Duration::from_millis(2_500);

/// Keeps the furthest place of the log that this process has seen, and compares it with the log about once a second.
pub struct LogWatch {
    store: Arc<dyn EventStore>,
    seen: Mutex<Seen>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    furthest: LogPoint,
    /// When the log was last asked and had it.
    confirmed: Option<Instant>,
}

impl LogWatch {
    /// Watches `store` once [`Self::run`] runs.
    #[must_use]
    pub fn new(store: Arc<dyn EventStore>) -> Self {
        Self {
            store,
            seen: Mutex::new(Seen {
                furthest: LogPoint::START,
                confirmed: None,
            }),
        }
    }

    /// Remembers a place that this process has seen, if none further is known.
    pub fn saw(&self, point: LogPoint) {
        let mut seen = self.seen();
        if point.position > seen.furthest.position {
            seen.furthest = point;
        }
    }

    /// Whether the log was found to be the same within the last moment. Not while it cannot be asked: whoever keeps
    /// something from before a failover does not use it before the log has been compared.
    #[must_use]
    pub fn vouches(&self) -> bool {
        self.seen().confirmed.is_some_and(|at| at.elapsed() < VOUCHES_FOR)
    }

    /// Compares again and again, and calls `replaced` each time that the log turns out to be another; never returns.
    /// While the log cannot be asked nothing is said about it, and what was seen before is compared when it answers
    /// again.
    pub async fn run(&self, replaced: impl Fn() + Send + Sync) {
        loop {
            match self.look().await {
                Ok(true) => {}
                Ok(false) => replaced(),
                Err(error) => tracing::debug!(%error, "cannot compare the log with what was seen of it"),
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Whether the log is the same as before.
    async fn look(&self) -> Result<bool, StoreError> {
        let known = self.seen().furthest;
        let asked = Instant::now();
        let same = agrees(&*self.store, &[known])
            .await?
            .into_iter()
            .all(|agrees| agrees);
        let head = head_point(&*self.store).await?;
        if same {
            self.saw(head);
        } else {
            self.seen().furthest = head;
            tracing::error!(
                event.position = known.position,
                head = head.position,
                "the log has lost events that it had: it was restored, or a standby without them was promoted"
            );
        }
        self.seen().confirmed = same.then_some(asked);
        Ok(same)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        // It is written whole, so a poisoned lock is as good as any.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

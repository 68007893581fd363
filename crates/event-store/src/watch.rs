//! Notices that the log is no longer the one that it was, for whoever keeps in memory what came from it.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use events::LogPoint;
use tokio::sync::Notify;

use crate::{EventStore, StoreError, agrees, head_point};

/// How often the log is compared with what was seen of it.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long after a look the log is taken for the same: a look, the pause and some more.
const VOUCHES_FOR: Duration = Duration::from_millis(2_500);
/// The number of places with which the next look comes at once.
const ENOUGH: usize = 512;

/// Keeps the furthest places of the log that this process has seen, and compares them with the log about once a second.
pub struct LogWatch {
    store: Arc<dyn EventStore>,
    seen: Mutex<Seen>,
    enough: Notify,
}

#[derive(Debug)]
struct Seen {
    /// Each further than the ones before. The first was there at the last look, the others have come since: a log that
    /// has lost its tail may have grown beyond it again before anybody looks.
    furthest: Vec<LogPoint>,
    /// When the log was last asked and had them all.
    confirmed: Option<Instant>,
}

impl Seen {
    fn last(&self) -> LogPoint {
        self.furthest.last().copied().unwrap_or(LogPoint::START)
    }
}

impl LogWatch {
    /// Watches `store` once [`Self::run`] runs.
    #[must_use]
    pub fn new(store: Arc<dyn EventStore>) -> Self {
        Self {
            store,
            seen: Mutex::new(Seen {
                furthest: Vec::new(),
                confirmed: None,
            }),
            enough: Notify::new(),
        }
    }

    /// Remembers a place that this process has seen, if none further is known.
    pub fn saw(&self, point: LogPoint) {
        let mut seen = self.seen();
        if point.position <= seen.last().position {
            return;
        }
        if seen.furthest.len() == 2 * ENOUGH {
            // Nobody can look although events arrive. Half of the places tell nearly as much.
            let mut number = 0;
            seen.furthest.retain(|_| {
                number += 1;
                number % 2 == 1
            });
        }
        seen.furthest.push(point);
        if seen.furthest.len() == ENOUGH {
            self.enough.notify_one();
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
            let _ = tokio::time::timeout(LOOK_EVERY, self.enough.notified()).await;
        }
    }

    /// Whether the log is the same as before.
    async fn look(&self) -> Result<bool, StoreError> {
        let known = self.seen().furthest.clone();
        let asked = Instant::now();
        let agree = agrees(&*self.store, &known).await?;
        let head = head_point(&*self.store).await?;
        let lost = known.iter().zip(agree).find(|(_, agrees)| !agrees);
        let mut seen = self.seen();
        if let Some((lost, _)) = lost {
            *seen = Seen {
                furthest: vec![head],
                confirmed: None,
            };
            tracing::error!(
                event.position = lost.position,
                head = head.position,
                "the log has lost events that it had: it was restored, or a standby without them was promoted"
            );
            return Ok(false);
        }
        // What has come during the look is compared at the next one.
        let end = known.last().map_or(0, |point| point.position);
        seen.furthest.retain(|point| point.position >= end);
        seen.confirmed = Some(asked);
        drop(seen);
        self.saw(head);
        Ok(true)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        // It is written whole, so a poisoned lock is as good as any.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

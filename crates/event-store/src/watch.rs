//! Notices that the log was replaced or cut, for callers that keep data from it in memory.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use events::LogPoint;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{EventStore, StoreError, agrees, head_point};

/// How often the log is compared with the remembered points.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// How long a comparison is trusted: a comparison, the pause, and some more.
const VOUCHES_FOR: Duration = Duration::from_millis(2_500);
/// This many points trigger the next comparison at once.
const ENOUGH: usize = 512;

/// Remembers the furthest points of the log that this process has seen, and compares them with the log about once a
/// second.
pub struct LogWatch {
    store: Arc<dyn EventStore>,
    seen: Mutex<Seen>,
    enough: Notify,
}

#[derive(Debug)]
struct Seen {
    /// Points with increasing positions. The first one was found at the last comparison, the others came since: a log
    /// that has lost its tail may have grown beyond the first one again.
    furthest: Vec<LogPoint>,
    /// When the log last had all of them.
    confirmed: Option<Instant>,
}

impl Seen {
    fn last(&self) -> LogPoint {
        self.furthest.last().copied().unwrap_or(LogPoint::START)
    }
}

impl LogWatch {
    /// Creates a watch of `store`, which [`Self::run`] runs.
    pub fn new(store: Arc<dyn EventStore>) -> Self {
        Self {
            store,
            seen: Mutex::new(Seen { furthest: Vec::new(), confirmed: None }),
            enough: Notify::new(),
        }
    }

    /// Remembers a point that this process has seen, unless a further one is known.
    pub fn saw(&self, point: LogPoint) {
        let mut seen = self.seen.lock();
        if point.position <= seen.last().position {
            return;
        }
        if seen.furthest.len() == 2 * ENOUGH {
            // No comparison is possible although events arrive. Half of the points are nearly as good.
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

    /// Whether the log was found to be unchanged a moment ago. False while it cannot be read, so that data from
    /// before a failover is not used before the comparison.
    pub fn vouches(&self) -> bool {
        let confirmed = self.seen.lock().confirmed;
        confirmed.is_some_and(|at| at.elapsed() < VOUCHES_FOR)
    }

    /// Compares regularly, and calls `replaced` each time that the log has changed; never returns. While the log
    /// cannot be read, nothing is reported; the same points are compared when it answers again.
    pub async fn run(&self, replaced: impl Fn() + Send + Sync) {
        loop {
            match self.look().await {
                Ok(true) => {}
                Ok(false) => replaced(),
                Err(error) => tracing::debug!(%error, "cannot compare the log with what was seen of it"),
            }
            let _ = tokio::time::timeout(POLL_INTERVAL, self.enough.notified()).await;
        }
    }

    /// Whether the log is unchanged.
    async fn look(&self) -> Result<bool, StoreError> {
        let known = self.seen.lock().furthest.clone();
        let asked = Instant::now();
        let agree = agrees(&*self.store, &known).await?;
        let head = head_point(&*self.store).await?;
        let lost = known.iter().zip(agree).find(|(_, agrees)| !agrees);
        let mut seen = self.seen.lock();
        if let Some((lost, _)) = lost {
            *seen = Seen { furthest: vec![head], confirmed: None };
            tracing::error!(
                event.position = lost.position,
                head = head.position,
                "the log has lost events that it had: it was restored, or a standby without them was promoted"
            );
            return Ok(false);
        }
        // Points that arrived meanwhile are compared the next time.
        let end = known.last().map_or(0, |point| point.position);
        seen.furthest.retain(|point| point.position >= end);
        seen.confirmed = Some(asked);
        drop(seen);
        self.saw(head);
        Ok(true)
    }
}

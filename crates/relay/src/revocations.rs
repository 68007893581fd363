//! Broadcasts which sessions and tokens the log has ended, to all processes that cache checked tokens. Auth does so at
//! once; the relay does it for an auth that died before it could.
//!
//! The broadcasts have a queue of their own, so that events do not wait for them, nor they for events.

use std::{sync::Arc, time::Duration};

use auth_client::{REVOCATIONS, Revocation};
use bus::Bus;
use events::RecordedEvent;
use runtime::with_causes;
use tokio::{sync::mpsc, time::timeout};

/// How long a broadcast may take. A process that misses one notices within half a minute.
const TIMEOUT: Duration = Duration::from_secs(1);
/// The most broadcasts that wait. Further ones are dropped, like those that take too long.
const MAX_WAITING: usize = 4_096;

/// The broadcasts that wait for [`run`].
#[derive(Debug)]
pub(crate) struct Revocations(mpsc::Sender<Revocation>);

/// A queue, and what is put into it.
pub(crate) fn queue() -> (Revocations, mpsc::Receiver<Revocation>) {
    let (sender, waiting) = mpsc::channel(MAX_WAITING);
    (Revocations(sender), waiting)
}

impl Revocations {
    /// Adds the revocations that `events` cause.
    pub(crate) fn enqueue<'a>(&self, events: impl Iterator<Item = &'a RecordedEvent>) {
        let mut revocations: Vec<_> = events.filter_map(Revocation::caused_by).collect();
        revocations.dedup();
        let dropped = revocations
            .into_iter()
            .filter_map(|revocation| self.0.try_send(revocation).err())
            .count();
        if dropped > 0 {
            tracing::warn!(dropped, "too many revocations wait: some are not broadcast");
        }
    }
}

/// Broadcasts what is put into the queue, until the queue is dropped.
pub(crate) async fn run(bus: Arc<dyn Bus>, mut waiting: mpsc::Receiver<Revocation>) {
    while let Some(revocation) = waiting.recv().await {
        match timeout(TIMEOUT, bus.broadcast(REVOCATIONS, revocation.encode())).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(error = with_causes(&error), "a revocation was not broadcast"),
            Err(_) => tracing::warn!("a revocation was not broadcast in time"),
        }
    }
}

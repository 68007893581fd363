//! Broadcasts which sessions and tokens the log has ended, to all processes that cache checked tokens. Auth does so at
//! once; the relay does it for an auth that died before it could.

use std::time::Duration;

use auth_client::{REVOCATIONS, Revocation};
use bus::Bus;
use events::RecordedEvent;

/// How long publishing waits for the broadcasts. A process that misses one notices within half a minute.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Broadcasts the revocations that `events` cause.
pub(crate) async fn broadcast(bus: &dyn Bus, events: impl Iterator<Item = &RecordedEvent>) {
    let mut revocations: Vec<_> = events.filter_map(Revocation::caused_by).collect();
    revocations.dedup();
    if revocations.is_empty() {
        return;
    }
    let all = async {
        for revocation in &revocations {
            bus.broadcast(REVOCATIONS, revocation.encode()).await?;
        }
        Ok::<_, bus::BusError>(())
    };
    match tokio::time::timeout(TIMEOUT, all).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "revocations were not broadcast"),
        Err(_) => tracing::warn!("revocations were not broadcast in time"),
    }
}

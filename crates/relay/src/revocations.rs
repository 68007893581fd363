//! Tells everyone who remembers checked tokens what has ended, as the log says. Auth tells them at once; this is for what an
//! auth that died could no longer tell.

use std::time::Duration;

use auth_client::{REVOCATIONS, Revocation};
use bus::Bus;
use events::RecordedEvent;

/// How long publishing waits for it. Whoever does not hear of it finds out within half a minute.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Broadcasts what `events` make worthless.
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

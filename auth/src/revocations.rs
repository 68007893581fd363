//! Broadcasts to every role that checked tokens are not valid any more.

use std::{sync::Arc, time::Duration};

use auth_client::{REVOCATIONS, Revocation};
use bus::Bus;

/// How long an answer waits for a revocation to go out.
const BROADCAST_TIMEOUT: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub(crate) struct Revocations(Arc<dyn Bus>);

impl Revocations {
    pub(crate) const fn new(bus: Arc<dyn Bus>) -> Self {
        Self(bus)
    }

    /// Reaches every cache of checked tokens. If that fails, a cached answer still expires within 30 seconds.
    pub(crate) async fn broadcast(&self, revocation: Revocation) {
        let sent = self.0.broadcast(REVOCATIONS, revocation.encode());
        match tokio::time::timeout(BROADCAST_TIMEOUT, sent).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, ?revocation, "a revocation was not broadcast"),
            Err(_) => tracing::warn!(?revocation, "a revocation was not broadcast in time"),
        }
    }
}

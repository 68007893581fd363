//! How long the broker is waited for, and how often it is tried again.

use std::time::Duration;

use runtime::Backoff;

/// How long anything waits for the broker before it is given up as unavailable.
pub(super) const BROKER_TIMEOUT: Duration = Duration::from_secs(10);
/// The pauses between attempts to reach a broker that is away.
pub(super) const BACKOFF: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));

//! Time limits for the broker, and pauses between attempts.

use std::time::Duration;

use runtime::Backoff;

/// How long an operation waits for the broker before it counts as unavailable.
pub(super) const BROKER_TIMEOUT: Duration = Duration::from_secs(10);
/// The pauses between attempts to reach an unavailable broker.
pub(super) const BACKOFF: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));

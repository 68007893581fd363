//! Limits the event streams of one person. The server limits all streams together.

use events::UserId;
use http_api::{ConcurrencyLimit, Problem};
use prometheus::IntGauge;
use runtime::{Counted, KeyedPermit};

/// The most streams of one person. More devices than most people have; each costs a connection.
const MAX_OF_ONE: usize = 8;

#[derive(Debug, Clone)]
pub(crate) struct StreamLimits {
    streams: ConcurrencyLimit,
    open: IntGauge,
}

/// Held while a stream lasts.
#[derive(Debug)]
pub(crate) struct OpenStream {
    _open: Counted,
    _permit: KeyedPermit<UserId>,
}

impl StreamLimits {
    /// Creates the limits; `open` is the number of open streams.
    pub(crate) fn new(open: IntGauge) -> Self {
        Self { streams: ConcurrencyLimit::new("streams", MAX_OF_ONE, MAX_OF_ONE), open }
    }

    /// Takes a place, without waiting.
    pub(crate) async fn take(&self, owner: UserId) -> Result<OpenStream, Problem> {
        let permit =
            self.streams.acquire(owner).await.map_err(|refused| {
                refused.detail("You have too many streams of events. Close one of them.")
            })?;
        Ok(OpenStream { _open: Counted::in_gauge(&self.open), _permit: permit })
    }
}

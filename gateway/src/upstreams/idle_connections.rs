//! The connections to one replica that nobody uses at the moment, for each runtime apart: on a runtime of one thread, a request, its
//! connection and its answer stay on that thread.

use std::time::Duration;

use dashmap::DashMap;
use tokio::{runtime::Id, time::Instant};

use super::connection::Connection;

/// Well below the time after which a role closes a connection that nobody uses.
const KEEP_IDLE: Duration = Duration::from_secs(30);
/// Connections of one runtime that are kept while nobody uses them. What a burst needed beyond that is closed after it.
const MOST_IDLE: usize = 256;

/// Connections without a request. Nothing drives them; see [`Self::tidy`].
#[derive(Default)]
pub(super) struct IdleConnections(DashMap<Id, Vec<Idle>>);

struct Idle {
    connection: Connection,
    since: Instant,
}

impl IdleConnections {
    /// The one of this runtime that was used last, if there is any. The replica may have closed it meanwhile.
    pub(super) fn take(&self, runtime: Id) -> Option<Connection> {
        let idle = self.0.get_mut(&runtime)?.pop()?;
        Some(idle.connection)
    }

    /// Keeps a connection on which the last answer has ended.
    pub(super) fn keep(&self, connection: Connection) {
        connection.rest();
        let mut kept = self.0.entry(connection.runtime()).or_default();
        if kept.len() < MOST_IDLE {
            let since = Instant::now();
            kept.push(Idle { connection, since });
        }
    }

    /// Closes those that their replica has closed, and those that nobody has used for long.
    pub(super) fn tidy(&self, now: Instant) {
        for mut kept in self.0.iter_mut() {
            kept.retain_mut(|idle| idle.since + KEEP_IDLE > now && !idle.connection.has_ended());
        }
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.0.iter().map(|kept| kept.len()).sum()
    }
}

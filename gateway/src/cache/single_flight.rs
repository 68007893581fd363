//! Concurrent identical reads share one request to the role (single flight).

use std::{sync::Arc, time::Duration};

use dashmap::{DashMap, Entry};
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

use super::{
    lookup::{Key, Lookup},
    stored::Stored,
};

/// How long a read waits for the request of another.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The key and the required position. A read that requires more sends its own request.
type Flight = (Key, u64);
/// `None` while the request is running.
type Outcome = Option<Shared>;

#[derive(Clone)]
enum Shared {
    With(Arc<Stored>),
    /// There is no answer, or one that cannot be shared.
    Empty,
}

/// The running requests.
#[derive(Clone, Default)]
pub(super) struct PendingReads(Arc<DashMap<Flight, watch::Receiver<Outcome>>>);

/// How a read takes part.
pub(super) enum Joined {
    /// It sends the request, and gives the answer to the others.
    Leads(Lead),
    /// Another has sent the request, and this is the answer.
    Shares(Arc<Stored>),
    /// Another has sent the request, but its answer cannot be used.
    Alone,
}

impl PendingReads {
    pub(super) async fn join_or_start(&self, lookup: &Lookup) -> Joined {
        let flight = (lookup.key.clone(), lookup.at_least);
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let mut landing = match self.0.entry(flight.clone()) {
                Entry::Occupied(entry) => entry.get().clone(),
                Entry::Vacant(entry) => {
                    let (outcome, receiver) = watch::channel(None);
                    entry.insert(receiver);
                    return Joined::Leads(Lead { flights: self.clone(), flight, outcome });
                }
            };
            let landed = match timeout_at(deadline, landing.wait_for(Option::is_some)).await {
                // The sender has gone without an answer: one of those who wait sends the request again.
                Ok(Err(_)) => continue,
                Ok(Ok(landed)) => landed.clone(),
                Err(_) => None,
            };
            return match landed {
                Some(Shared::With(stored)) => Joined::Shares(stored),
                Some(Shared::Empty) | None => Joined::Alone,
            };
        }
    }
}

/// The sender of the request. If it is dropped without an answer, because its client has gone, another one sends the
/// request.
pub(super) struct Lead {
    flights: PendingReads,
    flight: Flight,
    outcome: watch::Sender<Outcome>,
}

impl Lead {
    /// Gives the answer to all who wait.
    pub(super) fn lands(self, stored: Option<Arc<Stored>>) {
        self.outcome.send_replace(Some(stored.map_or(Shared::Empty, Shared::With)));
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        self.flights.0.remove(&self.flight);
    }
}

//! Coalesces requests: many who ask for the same thing at the same time share one request to the role (single flight).

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

/// Nobody waits longer for what another has asked.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The same question: whoever has to see more asks for themselves.
type Flight = (Key, u64);
/// `None` while it is under way.
type Outcome = Option<Shared>;

#[derive(Clone)]
enum Shared {
    With(Arc<Stored>),
    /// With an answer that cannot be shared, or with none.
    Empty,
}

/// The questions under way.
#[derive(Clone, Default)]
pub(super) struct PendingReads(Arc<DashMap<Flight, watch::Receiver<Outcome>>>);

/// How a read takes part.
pub(super) enum Joined {
    /// It asks, and tells the others.
    Leads(Lead),
    /// Another had asked already, and this is the answer.
    Shares(Arc<Stored>),
    /// Another had asked already, but what came of it is of no use.
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
                    return Joined::Leads(Lead {
                        flights: self.clone(),
                        flight,
                        outcome,
                    });
                }
            };
            let landed = match timeout_at(deadline, landing.wait_for(Option::is_some)).await {
                // Whoever asked has gone without an answer: one of those who waited asks again.
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

/// The one who asks. Dropped without an outcome, when its client has gone, it leaves the question to another.
pub(super) struct Lead {
    flights: PendingReads,
    flight: Flight,
    outcome: watch::Sender<Outcome>,
}

impl Lead {
    /// All who wait get this.
    pub(super) fn lands(self, stored: Option<Arc<Stored>>) {
        self.outcome
            .send_replace(Some(stored.map_or(Shared::Empty, Shared::With)));
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        self.flights.0.remove(&self.flight);
    }
}

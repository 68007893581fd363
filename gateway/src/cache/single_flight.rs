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
type Outcome = Option<Landed>;

#[derive(Clone)]
enum Landed {
    With(Arc<Stored>),
    /// With an answer that cannot be shared, or with none.
    Empty,
}

/// The questions under way.
#[derive(Clone, Default)]
pub(super) struct Flights(Arc<DashMap<Flight, watch::Receiver<Outcome>>>);

/// How a read takes part.
pub(super) enum Boarded {
    /// It asks, and tells the others.
    Leads(Lead),
    /// Another had asked already, and this is the answer.
    Shares(Arc<Stored>),
    /// Another had asked already, but what came of it is of no use.
    Alone,
}

impl Flights {
    pub(super) async fn board(&self, lookup: &Lookup) -> Boarded {
        let flight = (lookup.key.clone(), lookup.at_least);
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let mut landing = match self.0.entry(flight.clone()) {
                Entry::Occupied(entry) => entry.get().clone(),
                Entry::Vacant(entry) => {
                    let (outcome, receiver) = watch::channel(None);
                    entry.insert(receiver);
                    return Boarded::Leads(Lead {
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
                Some(Landed::With(stored)) => Boarded::Shares(stored),
                Some(Landed::Empty) | None => Boarded::Alone,
            };
        }
    }
}

/// The one who asks. Dropped without an outcome, when its client has gone, it leaves the question to another.
pub(super) struct Lead {
    flights: Flights,
    flight: Flight,
    outcome: watch::Sender<Outcome>,
}

impl Lead {
    /// All who wait get this.
    pub(super) fn lands(self, stored: Option<Arc<Stored>>) {
        self.outcome
            .send_replace(Some(stored.map_or(Landed::Empty, Landed::With)));
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        self.flights.0.remove(&self.flight);
    }
}

//! Whose password is hashed next. Hashing is the most expensive thing that a stranger can ask for, so the threads are
//! few, the queue is bounded in number and in time, and it is shared fairly: each address has few places in it at once, and
//! whoever comes from an address that is familiar to the account waits behind none of the others.

use std::{sync::Arc, time::Duration};

use runtime::{NoTurn, Turn, Turns};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};

use super::{
    HashingFailed,
    hash_metrics::{self, Counted},
};

/// Nobody waits longer: the gateway gives up some seconds later.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who asks for a password to be hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asker<'a> {
    /// Somebody at this address.
    Stranger(&'a str),
    /// Somebody at this address who has a session, or from where somebody logged in to the account before.
    Familiar(&'a str),
}

/// The threads, and the queue before them.
pub(super) struct Admission {
    /// One permit for each thread that hashes.
    threads: Arc<Semaphore>,
    /// So many strangers wait for a thread directly, so that nobody else waits behind all of them.
    strangers: Arc<Semaphore>,
    /// One permit for each password that is being hashed or waits for it.
    places_of_strangers: Arc<Semaphore>,
    places_of_familiar: Arc<Semaphore>,
    /// So much of an address is worked on at once, and so much waits.
    addresses: Turns<String>,
}

/// The right to hash, until it is dropped.
#[derive(Debug, Clone)]
pub(crate) struct Slot {
    _held: Arc<Held>,
    /// When it was granted.
    pub(crate) since: Instant,
}

#[derive(Debug)]
struct Held {
    _thread: OwnedSemaphorePermit,
    _stranger: Option<OwnedSemaphorePermit>,
    _turn: Turn<String>,
    _place: OwnedSemaphorePermit,
    _counted: Counted,
}

impl Admission {
    /// `threads` hash at once, and `waiting` wait of either kind.
    pub(super) fn new(threads: usize, waiting: usize) -> Self {
        hash_metrics::show();
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        Self {
            threads: semaphore(threads),
            strangers: semaphore(threads),
            places_of_strangers: semaphore(threads + waiting),
            places_of_familiar: semaphore(threads + waiting),
            addresses: Turns::new(threads, threads + waiting / 2),
        }
    }

    /// Waits for a thread.
    ///
    /// # Errors
    /// [`HashingFailed::Crowded`] when too many of this address wait, [`HashingFailed::Overloaded`] when too many wait at
    /// all, or it took too long.
    pub(super) async fn admit(&self, asker: Asker<'_>) -> Result<Slot, HashingFailed> {
        let waiting = Counted::waiting();
        let admitted = timeout(PATIENCE, self.wait(asker))
            .await
            .unwrap_or(Err(HashingFailed::Overloaded));
        drop(waiting);
        if let Err(error) = &admitted {
            hash_metrics::refused(match error {
                HashingFailed::Overloaded => "overloaded",
                HashingFailed::Crowded => "crowded",
                _ => "broken",
            });
        }
        admitted
    }

    async fn wait(&self, asker: Asker<'_>) -> Result<Slot, HashingFailed> {
        let (address, places, lane) = match asker {
            Asker::Stranger(address) => (address, &self.places_of_strangers, Some(&self.strangers)),
            Asker::Familiar(address) => (address, &self.places_of_familiar, None),
        };
        let place = Arc::clone(places)
            .try_acquire_owned()
            .map_err(|_| HashingFailed::Overloaded)?;
        let turn = self.addresses.take(address.to_owned(), PATIENCE).await;
        let turn = turn.map_err(|none| match none {
            NoTurn::Full => HashingFailed::Crowded,
            NoTurn::Late => HashingFailed::Overloaded,
        })?;
        let stranger = match lane {
            Some(lane) => Some(permit(lane).await?),
            None => None,
        };
        let thread = permit(&self.threads).await?;
        Ok(Slot {
            _held: Arc::new(Held {
                _thread: thread,
                _stranger: stranger,
                _turn: turn,
                _place: place,
                _counted: Counted::running(),
            }),
            since: Instant::now(),
        })
    }
}

async fn permit(semaphore: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, HashingFailed> {
    Arc::clone(semaphore)
        .acquire_owned()
        .await
        .map_err(|_| HashingFailed::Broken)
}

#[cfg(test)]
mod tests {
    use futures::{StreamExt, stream::FuturesUnordered};

    use super::*;

    #[tokio::test]
    async fn a_full_queue_sheds_load_and_keeps_places_for_the_familiar() {
        let admission = Admission::new(1, 2);
        let held = admission.admit(Asker::Stranger("a")).await.unwrap();
        let mut waiting = FuturesUnordered::new();
        waiting.push(admission.admit(Asker::Stranger("b")));
        waiting.push(admission.admit(Asker::Stranger("c")));
        assert!(futures::poll!(waiting.next()).is_pending());
        let shed = admission.admit(Asker::Stranger("d")).await;
        assert!(matches!(shed, Err(HashingFailed::Overloaded)));
        let mut familiar = std::pin::pin!(admission.admit(Asker::Familiar("e")));
        assert!(futures::poll!(&mut familiar).is_pending());
        drop(held);
        drop(familiar.await.unwrap());
        for _ in 0..2 {
            drop(waiting.next().await.unwrap().unwrap());
        }
    }

    #[tokio::test]
    async fn one_address_does_not_fill_the_queue() {
        let admission = Admission::new(1, 4);
        let _held = admission.admit(Asker::Stranger("a")).await.unwrap();
        let mut greedy = FuturesUnordered::new();
        for _ in 0..10 {
            greedy.push(admission.admit(Asker::Stranger("a")));
        }
        let mut crowded = 0;
        while let std::task::Poll::Ready(Some(Err(error))) = futures::poll!(greedy.next()) {
            assert!(matches!(error, HashingFailed::Crowded));
            crowded += 1;
        }
        assert!(crowded > 0, "some are sent away");
        let mut other = std::pin::pin!(admission.admit(Asker::Stranger("b")));
        assert!(futures::poll!(&mut other).is_pending(), "and others are let in");
    }

    #[tokio::test]
    async fn whoever_is_familiar_waits_behind_no_stranger_that_waits() {
        let admission = Admission::new(1, 100);
        let held = admission.admit(Asker::Stranger("0")).await.unwrap();
        let addresses: Vec<_> = (1..50).map(|number| number.to_string()).collect();
        let mut strangers: FuturesUnordered<_> = addresses
            .iter()
            .map(|address| admission.admit(Asker::Stranger(address)))
            .collect();
        assert!(futures::poll!(strangers.next()).is_pending());
        let mut owner = std::pin::pin!(admission.admit(Asker::Familiar("home")));
        assert!(futures::poll!(&mut owner).is_pending());
        drop(held);
        let _slot = owner.await.unwrap();
        assert!(futures::poll!(strangers.next()).is_pending());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_ever() {
        let admission = Admission::new(1, 4);
        let _held = admission.admit(Asker::Stranger("a")).await.unwrap();
        let late = admission.admit(Asker::Familiar("b")).await;
        assert!(matches!(late, Err(HashingFailed::Overloaded)));
    }
}

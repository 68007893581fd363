//! Whose password is hashed next. Hashing is the most expensive thing that a stranger can ask for, so the threads are
//! few, the queue is bounded in number and in time, and it is shared fairly: each address has few places in it at once, and
//! whoever comes from an address that is familiar to the account waits behind none of the others. What is counted together is
//! tried one after another, so that each guess knows of the failures before it.

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
const TIMEOUT: Duration = Duration::from_secs(10);
/// How many more are admitted than hash at once: they look up what they compare with while the threads are busy, so that no
/// thread waits for a database.
const PREPARING: usize = 1;

/// Who asks for a password to be hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asker<'a> {
    /// Where they are.
    pub(crate) address: &'a str,
    /// Whether they have a session, or somebody logged in to the account from there before.
    pub(crate) is_familiar: bool,
    /// Under which key a failure is counted, if it is a guess. No two guesses under one key are admitted at once.
    pub(crate) counter: Option<&'a str>,
}

impl<'a> Asker<'a> {
    /// Somebody at `address` who does not guess at anything.
    pub(crate) const fn stranger(address: &'a str) -> Self {
        Self {
            address,
            is_familiar: false,
            counter: None,
        }
    }
}

/// The threads, and the queue before them.
pub(super) struct Admission {
    /// One permit for each password that is being hashed or is next.
    admitted: Arc<Semaphore>,
    /// One permit for each stranger who waits to be admitted directly; others wait behind no more strangers than these.
    strangers: Arc<Semaphore>,
    /// One permit for each password that is being hashed or waits for it.
    places_of_strangers: Arc<Semaphore>,
    places_of_familiar: Arc<Semaphore>,
    /// How much of one address is worked on at once, and how much of it waits.
    addresses: Turns<String>,
    /// One guess after another for each counter of failures.
    counters: Turns<String>,
}

/// The right to hash as soon as a thread is free, which it is at the latest when those admitted before have hashed.
#[derive(Debug, Clone)]
pub(crate) struct Slot {
    held: Arc<Held>,
    /// When it was granted.
    pub(crate) since: Instant,
}

#[derive(Debug)]
struct Held {
    _admitted: OwnedSemaphorePermit,
    _stranger: Option<OwnedSemaphorePermit>,
    _turns: (Turn<String>, Option<Turn<String>>),
    _place: OwnedSemaphorePermit,
    _counted: Counted,
}

impl Admission {
    /// `threads` hash at once, and `waiting` wait of either kind.
    pub(super) fn new(threads: usize, waiting: usize) -> Self {
        hash_metrics::show();
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        let admitted = threads + PREPARING;
        Self {
            admitted: semaphore(admitted),
            strangers: semaphore(admitted),
            places_of_strangers: semaphore(admitted + waiting),
            places_of_familiar: semaphore(admitted + waiting),
            addresses: Turns::new(admitted, admitted + waiting / 2),
            // Nobody waits there without one of the places.
            counters: Turns::new(1, usize::MAX),
        }
    }

    /// Waits for a thread.
    ///
    /// # Errors
    /// [`HashingFailed::Crowded`] when too many of this address wait, [`HashingFailed::Overloaded`] when too many wait at
    /// all, or it took too long.
    pub(super) async fn admit(&self, asker: Asker<'_>) -> Result<Slot, HashingFailed> {
        let waiting = Counted::waiting();
        let admitted = timeout(TIMEOUT, self.wait(asker))
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
        let (places, lane) = if asker.is_familiar {
            (&self.places_of_familiar, None)
        } else {
            (&self.places_of_strangers, Some(&self.strangers))
        };
        let place = Arc::clone(places)
            .try_acquire_owned()
            .map_err(|_| HashingFailed::Overloaded)?;
        let of_address = take(&self.addresses, asker.address).await?;
        let of_counter = match asker.counter {
            Some(counter) => Some(take(&self.counters, counter).await?),
            None => None,
        };
        let stranger = match lane {
            Some(lane) => Some(permit(lane).await?),
            None => None,
        };
        let admitted = permit(&self.admitted).await?;
        Ok(Slot {
            held: Arc::new(Held {
                _admitted: admitted,
                _stranger: stranger,
                _turns: (of_address, of_counter),
                _place: place,
                _counted: Counted::running(),
            }),
            since: Instant::now(),
        })
    }
}

async fn take(turns: &Turns<String>, key: &str) -> Result<Turn<String>, HashingFailed> {
    turns
        .take(key.to_owned(), TIMEOUT)
        .await
        .map_err(|none| match none {
            NoTurn::Full => HashingFailed::Crowded,
            NoTurn::Late => HashingFailed::Overloaded,
        })
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

    fn familiar(address: &str) -> Asker<'_> {
        Asker {
            is_familiar: true,
            ..Asker::stranger(address)
        }
    }

    /// As many as may be admitted beside one thread, all from `address`.
    async fn busy(admission: &Admission, address: &str) -> [Slot; 2] {
        let admit = async || admission.admit(Asker::stranger(address)).await.unwrap();
        [admit().await, admit().await]
    }

    #[tokio::test]
    async fn guesses_under_one_counter_are_made_one_after_another() {
        let admission = Admission::new(4, 10);
        let guess = |address| Asker {
            counter: Some("account"),
            ..Asker::stranger(address)
        };
        let first = admission.admit(guess("a")).await.unwrap();
        let mut second = std::pin::pin!(admission.admit(guess("b")));
        assert!(futures::poll!(&mut second).is_pending());
        let _other = admission.admit(Asker::stranger("b")).await.unwrap();
        drop(first);
        let _second = second.await.unwrap();
    }

    #[tokio::test]
    async fn a_full_queue_sheds_load_and_keeps_places_for_the_familiar() {
        let admission = Admission::new(1, 2);
        let held = busy(&admission, "a").await;
        let mut waiting = FuturesUnordered::new();
        waiting.push(admission.admit(Asker::stranger("b")));
        waiting.push(admission.admit(Asker::stranger("c")));
        assert!(futures::poll!(waiting.next()).is_pending());
        let shed = admission.admit(Asker::stranger("d")).await;
        assert!(matches!(shed, Err(HashingFailed::Overloaded)));
        let mut familiar = std::pin::pin!(admission.admit(familiar("e")));
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
        let _held = busy(&admission, "a").await;
        let mut greedy = FuturesUnordered::new();
        for _ in 0..10 {
            greedy.push(admission.admit(Asker::stranger("a")));
        }
        let mut crowded = 0;
        while let std::task::Poll::Ready(Some(Err(error))) = futures::poll!(greedy.next()) {
            assert!(matches!(error, HashingFailed::Crowded));
            crowded += 1;
        }
        assert!(crowded > 0, "some are sent away");
        let mut other = std::pin::pin!(admission.admit(Asker::stranger("b")));
        assert!(futures::poll!(&mut other).is_pending(), "and others are let in");
    }

    #[tokio::test]
    async fn whoever_is_familiar_waits_behind_no_stranger_that_waits() {
        let admission = Admission::new(1, 100);
        let [_held, held] = busy(&admission, "0").await;
        let addresses: Vec<_> = (1..50).map(|number| number.to_string()).collect();
        let mut strangers: FuturesUnordered<_> = addresses
            .iter()
            .map(|address| admission.admit(Asker::stranger(address)))
            .collect();
        assert!(futures::poll!(strangers.next()).is_pending());
        let mut owner = std::pin::pin!(admission.admit(familiar("home")));
        assert!(futures::poll!(&mut owner).is_pending());
        drop(held);
        let _slot = owner.await.unwrap();
        assert!(futures::poll!(strangers.next()).is_pending());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_ever() {
        let admission = Admission::new(1, 4);
        let _held = busy(&admission, "a").await;
        let late = admission.admit(familiar("b")).await;
        assert!(matches!(late, Err(HashingFailed::Overloaded)));
    }
}

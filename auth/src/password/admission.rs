//! Decides which password is hashed next. Hashing is the most expensive work that a stranger can cause, so there are
//! few threads, and the queue is limited in length and time and shared fairly ([`FairQueue`]). Guesses with the same
//! counter run one after another, so that each one sees the failures before it.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use runtime::Counted;
use tokio::{
    sync::oneshot,
    time::{Instant, timeout},
};

use super::{
    HashingFailed,
    fair_queue::{FairQueue, QueueError},
    hash_metrics,
};

/// The longest wait. The gateway gives up a few seconds later.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How many more requests are admitted than hash at once: they read the hash from the database while the threads are
/// busy, so that no thread waits for that.
const PREPARING: usize = 1;

/// The request for hashing a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Requester<'a> {
    /// The address of the client.
    pub(crate) address: &'a str,
    /// Whether the client has proved something already: a session, the token of a reset, or an address from which
    /// somebody logged in to the account before.
    pub(crate) is_familiar: bool,
    /// The counter of failures, if this is a guess. Guesses with the same counter are admitted one after another.
    pub(crate) counter: Option<&'a str>,
}

impl<'a> Requester<'a> {
    /// A client at `address` who does not guess.
    pub(crate) const fn stranger(address: &'a str) -> Self {
        Self { address, is_familiar: false, counter: None }
    }

    /// A client at `address` with the token of a reset, who does not guess.
    pub(crate) const fn with_token(address: &'a str) -> Self {
        Self { is_familiar: true, ..Self::stranger(address) }
    }
}

/// The sender that informs a waiting request that it is admitted, or lost its place.
type AdmissionSender = oneshot::Sender<Result<Held, HashingFailed>>;

type Queue = Mutex<FairQueue<AdmissionSender>>;

/// The queue in front of the threads.
pub(super) struct Admission {
    queue: Arc<Queue>,
}

/// The right to hash as soon as a thread is free.
#[derive(Debug, Clone)]
pub(crate) struct Slot {
    _held: Arc<Held>,
    /// When it was granted.
    pub(crate) since: Instant,
}

/// The right of an admitted request. When it is dropped, the next one is admitted.
#[derive(Debug)]
struct Held {
    queue: Arc<Queue>,
    counter: Option<String>,
    _counted: Counted,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.queue.lock().release(self.counter.as_deref());
        admit(&self.queue);
    }
}

/// A request that waits, or has waited.
struct Waiter<'a> {
    queue: &'a Queue,
    number: u64,
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.queue.lock().leave(self.number);
    }
}

/// Admits as many requests as possible.
fn admit(queue: &Arc<Queue>) {
    loop {
        // The lock is not held while sending: if the receiver has gone, its right is dropped.
        let Some((sender, counter)) = queue.lock().admit() else {
            return;
        };
        let held = Held { queue: Arc::clone(queue), counter, _counted: hash_metrics::counted("running") };
        let _ = sender.send(Ok(held));
    }
}

impl Admission {
    /// Allows `threads` to hash at once, and `waiting` of each kind to wait.
    pub(super) fn new(threads: usize, waiting: usize) -> Self {
        hash_metrics::show();
        Self { queue: Arc::new(Mutex::new(FairQueue::new(threads + PREPARING, waiting))) }
    }

    /// Waits for a thread.
    ///
    /// # Errors
    /// [`HashingFailed::Crowded`] when too many of this address wait, and [`HashingFailed::Overloaded`] when too many
    /// of all addresses wait, or when the wait takes too long.
    pub(super) async fn admit(&self, requester: Requester<'_>) -> Result<Slot, HashingFailed> {
        let waiting = hash_metrics::counted("waiting");
        let admitted = timeout(TIMEOUT, self.wait(requester)).await.unwrap_or(Err(HashingFailed::Overloaded));
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

    async fn wait(&self, requester: Requester<'_>) -> Result<Slot, HashingFailed> {
        let (sender, told) = oneshot::channel();
        let entered =
            self.queue.lock().enter(requester.is_familiar, requester.address, requester.counter, sender);
        let (number, leaves) = entered.map_err(|none| match none {
            QueueError::Crowded => HashingFailed::Crowded,
            QueueError::Full => HashingFailed::Overloaded,
        })?;
        let _waiter = Waiter { queue: &self.queue, number };
        if let Some(leaves) = leaves {
            let _ = leaves.send(Err(HashingFailed::Crowded));
        }
        admit(&self.queue);
        let held = told.await.map_err(|_| HashingFailed::Broken)??;
        Ok(Slot { _held: Arc::new(held), since: Instant::now() })
    }
}

#[cfg(test)]
mod tests {
    use futures::{StreamExt, stream::FuturesUnordered};

    use super::*;

    fn familiar(address: &str) -> Requester<'_> {
        Requester { is_familiar: true, ..Requester::stranger(address) }
    }

    /// As many as are admitted beside one thread, all from `address`.
    async fn busy(admission: &Admission, address: &str) -> [Slot; 2] {
        let admit = async || admission.admit(Requester::stranger(address)).await.unwrap();
        [admit().await, admit().await]
    }

    #[tokio::test]
    async fn guesses_under_one_counter_are_made_one_after_another() {
        let admission = Admission::new(4, 10);
        let guess = |address| Requester { counter: Some("account"), ..Requester::stranger(address) };
        let first = admission.admit(guess("a")).await.unwrap();
        let mut second = std::pin::pin!(admission.admit(guess("b")));
        assert!(futures::poll!(&mut second).is_pending());
        let _other = admission.admit(Requester::stranger("b")).await.unwrap();
        drop(first);
        let _second = second.await.unwrap();
    }

    #[tokio::test]
    async fn a_full_queue_sheds_load_and_keeps_places_for_the_familiar() {
        let admission = Admission::new(1, 2);
        let held = busy(&admission, "a").await;
        let mut waiting = FuturesUnordered::new();
        waiting.push(admission.admit(Requester::stranger("b")));
        waiting.push(admission.admit(Requester::stranger("c")));
        assert!(futures::poll!(waiting.next()).is_pending());
        let shed = admission.admit(Requester::stranger("d")).await;
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
            greedy.push(admission.admit(Requester::stranger("a")));
        }
        let mut crowded = 0;
        while let std::task::Poll::Ready(Some(Err(error))) = futures::poll!(greedy.next()) {
            assert!(matches!(error, HashingFailed::Crowded));
            crowded += 1;
        }
        assert!(crowded > 0, "some are sent away");
        let mut other = std::pin::pin!(admission.admit(Requester::stranger("b")));
        assert!(futures::poll!(&mut other).is_pending(), "and others are let in");
    }

    #[tokio::test]
    async fn whoever_is_familiar_waits_behind_no_stranger_that_waits() {
        let admission = Admission::new(1, 100);
        let [_held, held] = busy(&admission, "0").await;
        let addresses: Vec<_> = (1..50).map(|number| number.to_string()).collect();
        let mut strangers: FuturesUnordered<_> =
            addresses.iter().map(|address| admission.admit(Requester::stranger(address))).collect();
        assert!(futures::poll!(strangers.next()).is_pending());
        let mut owner = std::pin::pin!(admission.admit(familiar("home")));
        assert!(futures::poll!(&mut owner).is_pending());
        drop(held);
        let _slot = owner.await.unwrap();
        assert!(futures::poll!(strangers.next()).is_pending());
    }

    #[tokio::test]
    async fn whoever_has_the_most_places_gives_one_to_a_newcomer() {
        let admission = Admission::new(1, 4);
        let held = busy(&admission, "a").await;
        let mut greedy = FuturesUnordered::new();
        for address in ["a", "a", "b", "b"] {
            greedy.push(admission.admit(Requester::stranger(address)));
        }
        assert!(futures::poll!(greedy.next()).is_pending());
        let mut newcomer = std::pin::pin!(admission.admit(Requester::stranger("c")));
        assert!(futures::poll!(&mut newcomer).is_pending());
        let told = greedy.next().await.unwrap();
        assert!(matches!(told, Err(HashingFailed::Crowded)), "{told:?}");
        drop(held);
        let mut admitted = 0;
        while let Some(slot) = greedy.next().await {
            drop(slot.unwrap());
            admitted += 1;
        }
        assert_eq!(admitted, 3);
        newcomer.await.unwrap();
    }

    #[tokio::test]
    async fn whoever_gives_up_leaves_their_place_and_what_they_were_given() {
        let admission = Admission::new(1, 2);
        let held = busy(&admission, "a").await;
        for address in ["b", "c", "d", "e"] {
            let mut waits = std::pin::pin!(admission.admit(Requester::stranger(address)));
            assert!(futures::poll!(&mut waits).is_pending(), "{address}");
        }
        {
            let mut admitted_too_late = std::pin::pin!(admission.admit(Requester::stranger("b")));
            assert!(futures::poll!(&mut admitted_too_late).is_pending());
            drop(held);
        }
        let _all = busy(&admission, "c").await;
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_ever() {
        let admission = Admission::new(1, 4);
        let _held = busy(&admission, "a").await;
        let late = admission.admit(familiar("b")).await;
        assert!(matches!(late, Err(HashingFailed::Overloaded)));
    }
}

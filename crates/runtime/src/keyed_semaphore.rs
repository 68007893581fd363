//! A semaphore for each key, with a bounded queue and a time limit for waiting.

use std::{hash::Hash, sync::Arc, time::Duration};

use dashmap::{DashMap, mapref::entry::Entry};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// The semaphores of all keys in use. Clones share them.
#[derive(Debug, Clone)]
pub struct KeyedSemaphore<K: Eq + Hash> {
    queues: Arc<DashMap<K, Queue>>,
    at_once: usize,
    most: usize,
}

#[derive(Debug)]
struct Queue {
    turns: Arc<Semaphore>,
    /// The number of permits and waiters.
    users: usize,
}

/// Why there is no permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoKeyedPermit {
    /// Too many wait already.
    Full,
    /// The wait took too long.
    Late,
}

/// A permit, released when it is dropped.
#[derive(Debug)]
pub struct KeyedPermit<K: Eq + Hash> {
    _permit: OwnedSemaphorePermit,
    _slot: QueueSlot<K>,
}

/// A slot among the users of a key, until it is dropped.
#[derive(Debug)]
struct QueueSlot<K: Eq + Hash> {
    queues: Arc<DashMap<K, Queue>>,
    key: K,
}

impl<K: Eq + Hash + Clone> KeyedSemaphore<K> {
    /// Allows `at_once` permits for each key, and `most` permits and waiters together.
    pub fn new(at_once: usize, most: usize) -> Self {
        Self { queues: Arc::default(), at_once, most }
    }

    /// Waits for a turn for `key`, in the order of arrival, for at most `limit`.
    ///
    /// # Errors
    /// When too many wait already, or it took too long.
    pub async fn take(&self, key: K, limit: Duration) -> Result<KeyedPermit<K>, NoKeyedPermit> {
        let (slot, turns) = self.enter(key).ok_or(NoKeyedPermit::Full)?;
        match timeout(limit, turns.acquire_owned()).await {
            Ok(Ok(permit)) => Ok(KeyedPermit { _permit: permit, _slot: slot }),
            // These semaphores are never closed.
            Ok(Err(_)) | Err(_) => Err(NoKeyedPermit::Late),
        }
    }

    /// A turn for `key` at once, without waiting for others.
    ///
    /// # Errors
    /// When there is none.
    pub fn try_take(&self, key: K) -> Result<KeyedPermit<K>, NoKeyedPermit> {
        let (slot, turns) = self.enter(key).ok_or(NoKeyedPermit::Full)?;
        let permit = turns.try_acquire_owned().map_err(|_| NoKeyedPermit::Late)?;
        Ok(KeyedPermit { _permit: permit, _slot: slot })
    }

    /// Whether nobody has a turn or waits for one, so that no key is remembered.
    pub fn is_unused(&self) -> bool {
        self.queues.is_empty()
    }

    fn enter(&self, key: K) -> Option<(QueueSlot<K>, Arc<Semaphore>)> {
        let turns = match self.queues.entry(key.clone()) {
            Entry::Occupied(mut queue) => {
                let queue = queue.get_mut();
                if queue.users >= self.most {
                    return None;
                }
                queue.users += 1;
                Arc::clone(&queue.turns)
            }
            Entry::Vacant(none) => {
                let turns = Arc::new(Semaphore::new(self.at_once));
                none.insert(Queue { turns: Arc::clone(&turns), users: 1 });
                turns
            }
        };
        let queues = Arc::clone(&self.queues);
        Some((QueueSlot { queues, key }, turns))
    }
}

impl<K: Eq + Hash> Drop for QueueSlot<K> {
    fn drop(&mut self) {
        self.queues.remove_if_mut(&self.key, |_, queue| {
            queue.users -= 1;
            queue.users == 0
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn one_key_at_a_time_and_others_beside_it() {
        let turns = KeyedSemaphore::new(1, 2);
        let first = turns.take("a", LONG).await.unwrap();
        let _other = turns.take("b", Duration::ZERO).await.unwrap();
        assert_eq!(turns.take("a", Duration::ZERO).await.unwrap_err(), NoKeyedPermit::Late);
        let second = tokio::join!(turns.take("a", LONG), async {
            assert_eq!(turns.take("a", LONG).await.unwrap_err(), NoKeyedPermit::Full);
            drop(first);
        });
        drop(second);
        assert!(!turns.queues.contains_key("a"), "a queue that nobody needs is kept");
    }

    #[tokio::test]
    async fn whoever_gives_up_leaves_its_slot() {
        let turns = KeyedSemaphore::new(1, 2);
        let first = turns.take(1, LONG).await.unwrap();
        for _ in 0..5 {
            assert_eq!(turns.take(1, Duration::from_millis(1)).await.unwrap_err(), NoKeyedPermit::Late);
        }
        drop(first);
        let _ = turns.take(1, Duration::ZERO).await.unwrap();
        assert!(turns.is_unused());
    }

    #[test]
    fn whoever_does_not_wait_is_told_at_once() {
        let turns = KeyedSemaphore::new(1, 2);
        let first = turns.try_take("a").unwrap();
        let _other = turns.try_take("b").unwrap();
        assert_eq!(turns.try_take("a").unwrap_err(), NoKeyedPermit::Late);
        drop(first);
        let _first = turns.try_take("a").unwrap();
        let without_queue = KeyedSemaphore::new(1, 1);
        let _only = without_queue.try_take("a").unwrap();
        assert_eq!(without_queue.try_take("a").unwrap_err(), NoKeyedPermit::Full);
    }
}

//! States that were folded lately, in a bounded number of bytes. A state from here is only a beginning: it may be behind its
//! stream, or from another history of the log, so whoever takes one compares its end with the stream before anything is
//! told to anyone.

use std::{fmt, hash::Hash, time::Duration};

use moka::{future::Cache, ops::compute::Op, policy::EvictionPolicy};

/// What the cache itself needs for a state, about.
const BYTES_OF_ENTRY: usize = 256;

/// A state that nobody has asked for in so long is forgotten: what is in memory of somebody who is gone has an end.
const IDLE: Duration = Duration::from_secs(600);

/// States by their keys.
#[derive(Clone)]
pub struct StateCache<K, S> {
    states: Cache<K, S>,
    version: fn(&S) -> u64,
}

impl<K, S> StateCache<K, S>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    S: Clone + Send + Sync + 'static,
{
    /// Holds about `most_bytes` of states, each of which takes `bytes` and is at `version`.
    #[must_use]
    pub fn new(
        most_bytes: u64,
        bytes: impl Fn(&S) -> usize + Send + Sync + 'static,
        version: fn(&S) -> u64,
    ) -> Self {
        let weigh = move |_: &K, state: &S| u32::try_from(BYTES_OF_ENTRY + bytes(state)).unwrap_or(u32::MAX);
        let states = Cache::builder()
            .max_capacity(most_bytes)
            // The default policy declines newcomers when it is full, and most is asked about what is new.
            .eviction_policy(EvictionPolicy::lru())
            .weigher(weigh)
            .time_to_idle(IDLE)
            .build();
        Self { states, version }
    }

    /// The state that was kept last.
    pub async fn get(&self, key: &K) -> Option<S> {
        self.states.get(key).await
    }

    /// Keeps a state, unless a later one is known.
    pub async fn put(&self, key: K, state: S) {
        let version = self.version;
        self.states
            .entry(key)
            .and_compute_with(|known| {
                let later = known.is_some_and(|known| version(known.value()) >= version(&state));
                std::future::ready(if later { Op::Nop } else { Op::Put(state) })
            })
            .await;
    }

    /// Forgets one state.
    pub async fn forget(&self, key: &K) {
        self.states.invalidate(key).await;
    }

    /// Forgets all states.
    pub fn clear(&self) {
        self.states.invalidate_all();
    }
}

impl<K, S> fmt::Debug for StateCache<K, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateCache").finish_non_exhaustive()
    }
}

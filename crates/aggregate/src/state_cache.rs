//! States that were folded lately, in a bounded number of bytes. A state from here is only a beginning: it may be behind its
//! stream, or from another history of the log, so whoever takes one compares its end with the stream before anything is
//! told to anyone.

use std::time::Duration;

use events::Aggregate;
use moka::{ops::compute::Op, policy::EvictionPolicy, sync::Cache};

use crate::Loaded;

/// What the cache itself needs for a state, about.
const BYTES_OF_ENTRY: usize = 256;

/// A state that nobody has asked for in so long is forgotten: what is in memory of somebody who is gone has an end.
const IDLE: Duration = Duration::from_secs(600);

/// States by their ids.
pub(crate) struct StateCache<A: Aggregate>(Cache<A::Id, Loaded<A>>);

impl<A: Aggregate> StateCache<A> {
    /// Holds about `most_bytes` of states, each of which takes `bytes`.
    pub(crate) fn new(most_bytes: u64, bytes: fn(&A) -> usize) -> Self {
        let weigh = move |_: &A::Id, loaded: &Loaded<A>| {
            let bytes = loaded.state.as_ref().map_or(0, bytes);
            u32::try_from(BYTES_OF_ENTRY + bytes).unwrap_or(u32::MAX)
        };
        let states = Cache::builder()
            .max_capacity(most_bytes)
            // The default policy declines newcomers when it is full, and most is asked about what is new.
            .eviction_policy(EvictionPolicy::lru())
            .weigher(weigh)
            .time_to_idle(IDLE)
            .build();
        Self(states)
    }

    /// The state that was kept last.
    pub(crate) fn get(&self, id: &A::Id) -> Option<Loaded<A>> {
        self.0.get(id)
    }

    /// Keeps a state, unless a later one is known.
    pub(crate) fn put(&self, id: A::Id, state: Loaded<A>) {
        self.0.entry(id).and_compute_with(|known| {
            let later = known.is_some_and(|known| known.value().version() >= state.version());
            if later { Op::Nop } else { Op::Put(state) }
        });
    }

    /// Forgets one state.
    pub(crate) fn forget(&self, id: &A::Id) {
        self.0.invalidate(id);
    }

    /// Forgets all states.
    pub(crate) fn clear(&self) {
        self.0.invalidate_all();
    }
}

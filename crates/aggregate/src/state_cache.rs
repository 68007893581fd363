//! Caches recently folded states in a bounded number of bytes. A cached state may be out of date, or from another
//! history of the log, so a caller compares its end with the stream before using it.

use std::time::Duration;

use events::Aggregate;
use moka::{policy::EvictionPolicy, sync::Cache};

use crate::Loaded;

/// The approximate size of the cache's own data for each state.
const BYTES_OF_ENTRY: usize = 256;

/// A state that was not asked for within this time is removed, so that data of people who left does not stay in
/// memory.
const IDLE: Duration = Duration::from_secs(600);

/// States by their ids.
pub(crate) type StateCache<A> = Cache<<A as Aggregate>::Id, Loaded<A>>;

/// A cache for about `most_bytes` of states; `bytes` returns the size of one.
pub(crate) fn state_cache<A: Aggregate>(most_bytes: u64, bytes: fn(&A) -> usize) -> StateCache<A> {
    let weigh = move |_: &A::Id, loaded: &Loaded<A>| {
        let bytes = loaded.state.as_ref().map_or(0, bytes);
        u32::try_from(BYTES_OF_ENTRY + bytes).unwrap_or(u32::MAX)
    };
    Cache::builder()
        .max_capacity(most_bytes)
        // The default policy rejects new entries when the cache is full, and new states are asked for most.
        .eviction_policy(EvictionPolicy::lru())
        .weigher(weigh)
        .time_to_idle(IDLE)
        .build()
}

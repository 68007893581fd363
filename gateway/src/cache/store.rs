//! The cached answers, limited in bytes and time. A write makes earlier answers of the same token unusable.

use std::{sync::Arc, time::Duration};

use auth_client::TokenHash;
use moka::sync::Cache;
use tokio::time::Instant;

use super::{
    lookup::{Key, Lookup},
    stored::Stored,
};

/// The capacity for all callers together, in bytes.
const CAPACITY: u64 = 32 << 20;
/// The lifetime of an answer, from the time of the request to the role. Meanwhile only changes elsewhere can make it
/// outdated: a command through another gateway, or one of an operator.
pub(crate) const LIFETIME: Duration = Duration::from_secs(5);
/// The most access tokens with a recorded write.
const WRITERS: u64 = 100_000;

#[derive(Clone)]
pub(crate) struct Answers {
    answers: Cache<Key, Arc<Stored>>,
    /// When a command was last sent or answered. A failed command may have taken effect, and has no token to wait
    /// for.
    writes: Cache<TokenHash, Instant>,
}

impl Answers {
    pub(crate) fn new() -> Self {
        Self {
            answers: Cache::builder()
                .max_capacity(CAPACITY)
                .weigher(|key, stored: &Arc<Stored>| stored.weight(key))
                .time_to_live(LIFETIME)
                .build(),
            writes: Cache::builder()
                .max_capacity(WRITERS)
                .time_to_live(2 * LIFETIME)
                // The default policy may reject new entries when the cache is full.
                .eviction_policy(moka::policy::EvictionPolicy::lru())
                .build(),
        }
    }

    /// The cached answer to `lookup`, if it can be used.
    pub(super) fn get(&self, lookup: &Lookup) -> Option<Arc<Stored>> {
        let stored = self.answers.get(&lookup.key)?;
        self.suits(&stored, lookup).then_some(stored)
    }

    /// Whether `stored` can answer `lookup` now.
    pub(super) fn suits(&self, stored: &Stored, lookup: &Lookup) -> bool {
        if !stored.suits(lookup) || stored.asked.elapsed() >= LIFETIME {
            return false;
        }
        let written = self.writes.get(&lookup.key.token);
        written.is_none_or(|written| stored.asked > written)
    }

    pub(super) fn put(&self, key: Key, stored: Arc<Stored>) {
        self.answers.insert(key, stored);
    }

    /// Records that a command with this token is about to be sent, or was answered.
    pub(crate) fn written(&self, token: TokenHash) {
        self.writes.insert(token, Instant::now());
    }

    /// The number of answers, and their approximate size in bytes. For metrics.
    pub(super) fn size(&self) -> (u64, u64) {
        (self.answers.entry_count(), self.answers.weighted_size())
    }
}

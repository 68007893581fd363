//! The answers that are kept, within a bound of bytes and for a short while, and how a write invalidates those before it.

use std::{sync::Arc, time::Duration};

use moka::sync::Cache;
use tokio::time::Instant;

use super::{
    lookup::{Key, Lookup, TokenKey},
    stored::Stored,
};

/// For all callers together, in bytes.
const CAPACITY: u64 = 32 << 20;
/// Counted from when the role was asked. Only what happens elsewhere can make an answer wrong meanwhile: a command through
/// another front door, or an operator.
pub(crate) const LIFETIME: Duration = Duration::from_secs(5);
/// Access tokens of which it is known that something was asked to be changed.
const WRITERS: u64 = 100_000;

#[derive(Clone)]
pub(crate) struct Answers {
    answers: Cache<Key, Arc<Stored>>,
    /// When a command was last sent or answered. One that failed may have taken effect, and there is no state to ask for.
    writes: Cache<TokenKey, Instant>,
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
                // The default policy may decline newcomers when full.
                .eviction_policy(moka::policy::EvictionPolicy::lru())
                .build(),
        }
    }

    /// What was kept for `lookup`, if it is good enough.
    pub(super) fn get(&self, lookup: &Lookup) -> Option<Arc<Stored>> {
        let stored = self.answers.get(&lookup.key)?;
        self.suits(&stored, lookup).then_some(stored)
    }

    /// Whether `stored` may answer `lookup` now.
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

    /// A command with this token is about to be sent, or was answered.
    pub(crate) fn written(&self, token: TokenKey) {
        self.writes.insert(token, Instant::now());
    }

    /// How many there are, and how many bytes they take, roughly. For metrics.
    pub(super) fn size(&self) -> (u64, u64) {
        (self.answers.entry_count(), self.answers.weighted_size())
    }
}

//! Limits the size of one person's keys. Each process counts for itself and reads the table regularly, so with
//! several processes a person can have a little more than the quota.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use database::{Database, Dialect};
use events::UserId;
use moka::{policy::EvictionPolicy, sync::Cache};

use super::{IdempotencyError, statements::micros};
use crate::handling::IdempotencyKey;

/// The quota of one person for keys and answers, in bytes. Enough for about 50,000 commands a day.
pub(crate) const KEYS_PER_PERSON: u64 = 32 << 20;
/// The size of a key without its texts.
const KEY_BYTES: u64 = 256;
/// How long a count from the table is used before it is read again.
const INTERVAL: Duration = Duration::from_secs(600);
/// The most people whose counts are in memory.
const PEOPLE: u64 = 10_000;
/// How long the count of a person without room is not read again.
const FULL: Duration = Duration::from_secs(60);
/// The most rows that one statement deletes.
const ROWS: u64 = 1_000;
/// The time for which the contract promises to keep keys. Beyond the quota they are not kept longer.
const PROMISED: Duration = Duration::from_secs(24 * 3_600);

#[derive(Debug)]
pub(super) struct Quota {
    operations: Database,
    bytes_per_person: u64,
    used: Cache<UserId, Arc<AtomicU64>>,
    full: Cache<UserId, ()>,
    delete_old: String,
}

/// A cache with this lifetime. The entry that was not used for the longest time is removed first: the default policy
/// rejects new entries when the cache is full, and then the table would be read at each command.
fn remembered<V: Clone + Send + Sync + 'static>(time: Duration) -> Cache<UserId, V> {
    Cache::builder().max_capacity(PEOPLE).time_to_live(time).eviction_policy(EvictionPolicy::lru()).build()
}

impl Quota {
    pub(super) fn new(operations: Database, bytes_per_person: u64) -> Self {
        let delete_old = format!(
            "DELETE FROM idempotency_keys WHERE owner = $1 AND key IN \
             (SELECT key FROM idempotency_keys WHERE owner = $1 AND created_at < {} - $2 LIMIT $3)",
            Dialect::of(&operations).now()
        );
        Self { operations, bytes_per_person, full: remembered(FULL), used: remembered(INTERVAL), delete_old }
    }

    /// Whether `owner` may have one more key. When there is no room, keys that are older than promised make some.
    pub(super) async fn has_room(&self, owner: UserId) -> Result<bool, IdempotencyError> {
        let used = match self.used.get(&owner) {
            Some(used) => used.load(Ordering::Relaxed),
            None => self.count(owner).await?,
        };
        if used < self.bytes_per_person {
            return Ok(true);
        }
        if self.full.contains_key(&owner) {
            return Ok(false);
        }
        let values = [owner.0.into(), micros(PROMISED).into(), ROWS.into()];
        if self.operations.execute(&self.delete_old, &values).await? > 0
            && self.count(owner).await? < self.bytes_per_person
        {
            return Ok(true);
        }
        self.full.insert(owner, ());
        Ok(false)
    }

    /// Counts one more key of `owner`, whose tasks were in the states `before`.
    pub(super) fn add_key(&self, owner: UserId, key: &IdempotencyKey, before: &str) {
        self.replace(owner, 0, (key.as_str().len() + before.len()) as u64 + KEY_BYTES);
    }

    /// Counts a text of `new` bytes that replaced others of `old` bytes.
    pub(super) fn replace(&self, owner: UserId, old: u64, new: u64) {
        if let Some(used) = self.used.get(&owner) {
            let update = |used: u64| Some(used.saturating_sub(old) + new);
            // The update always succeeds.
            let _ = used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, update);
        }
    }

    async fn count(&self, owner: UserId) -> Result<u64, IdempotencyError> {
        const SQL: &str = "SELECT coalesce(sum(length(key) + coalesce(octet_length(response), 0) \
             + coalesce(octet_length(progress), 0) + coalesce(octet_length(tasks_before), 0)), 0) AS bytes, \
             count(*) AS keys FROM idempotency_keys WHERE owner = $1";
        let row = self.operations.fetch_optional(SQL, &[owner.0.into()]).await?;
        let used = match row {
            Some(row) => row.unsigned("bytes")? + KEY_BYTES * row.unsigned("keys")?,
            None => 0,
        };
        self.used.insert(owner, Arc::new(AtomicU64::new(used)));
        Ok(used)
    }
}

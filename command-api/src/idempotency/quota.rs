//! How much room the keys of one person take. Each process counts for itself, and looks at the table now and then: with
//! several processes a person can have a little more than the quota, and never without a bound.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use database::Database;
use events::UserId;
use moka::{policy::EvictionPolicy, sync::Cache};

use super::{
    IdempotencyError,
    statements::{micros, now},
};
use crate::handling::IdempotencyKey;

/// Room for the idempotency keys of one person and what was answered, in bytes. Some 50,000 commands within a day.
pub(crate) const KEYS_PER_PERSON: u64 = 32 << 20;
/// What a key takes besides its texts.
const KEY_BYTES: u64 = 256;
/// How long this process counts on from what it has read, before it reads again.
const EVERY: Duration = Duration::from_secs(600);
/// The most people whose counts are kept in memory.
const PEOPLE: u64 = 10_000;
/// How long the count of somebody who has no room is not read again.
const FULL: Duration = Duration::from_secs(60);
/// Rows deleted at once.
const ROWS: u64 = 1_000;
/// The contract says that keys are kept for 24 hours. Beyond the quota they are kept no longer.
const PROMISED: Duration = Duration::from_secs(24 * 3_600);

#[derive(Debug)]
pub(super) struct Quota {
    operations: Database,
    bytes_per_person: u64,
    used: Cache<UserId, Arc<AtomicU64>>,
    full: Cache<UserId, ()>,
    delete_old: String,
}

/// What is remembered of people for so long. Whoever was not here the longest goes first: the default policy declines
/// newcomers when it is full, and their keys would be counted at each command.
fn remembered<V: Clone + Send + Sync + 'static>(time: Duration) -> Cache<UserId, V> {
    Cache::builder()
        .max_capacity(PEOPLE)
        .time_to_live(time)
        .eviction_policy(EvictionPolicy::lru())
        .build()
}

impl Quota {
    pub(super) fn new(operations: Database, bytes_per_person: u64) -> Self {
        let delete_old = format!(
            "DELETE FROM idempotency_keys WHERE owner = $1 AND key IN \
             (SELECT key FROM idempotency_keys WHERE owner = $1 AND created_at < {} - $2 LIMIT $3)",
            now(&operations)
        );
        Self {
            operations,
            bytes_per_person,
            full: remembered(FULL),
            used: remembered(EVERY),
            delete_old,
        }
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

    /// `owner` has one more key, which stands for a request about tasks that stood at `before`.
    pub(super) fn add_key(&self, owner: UserId, key: &IdempotencyKey, before: &str) {
        self.replace(owner, 0, (key.as_str().len() + before.len()) as u64 + KEY_BYTES);
    }

    /// A text of so many bytes was stored for `owner` in place of others of so many.
    pub(super) fn replace(&self, owner: UserId, old: u64, new: u64) {
        if let Some(used) = self.used.get(&owner) {
            let update = |used: u64| Some(used.saturating_sub(old) + new);
            // It is always updated, since there is always something to set it to.
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

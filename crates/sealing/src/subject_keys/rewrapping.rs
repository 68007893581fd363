//! Wraps all data keys with the first master key, while the system runs. No event changes. It can be interrupted, and
//! continues where it was.

use std::collections::BTreeSet;

use database::Value;
use events::UserId;
use uuid::Uuid;

use super::SubjectKeys;
use crate::{KeyError, MasterKeysLock, master_keys::MasterKey};

/// The most keys in one transaction.
const BATCH: i64 = 500;

/// The result of rewrapping.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rewrapped {
    /// The number of keys that were rewrapped.
    pub keys: u64,
    /// People whose key cannot be decrypted, and was not changed.
    pub damaged: Vec<UserId>,
}

impl SubjectKeys {
    /// Wraps every data key with the first master key. To be called under [`crate::MasterKeys::lock_file`].
    ///
    /// # Errors
    /// When the database does not answer, or a master key is missing. Rewrapped keys stay so.
    pub async fn rewrap(&self) -> Result<Rewrapped, KeyError> {
        let master_keys = self.0.master_keys.read_again().await?;
        let Some(first) = master_keys.first() else {
            return Err(KeyError::Missing(self.0.master_keys.place().to_owned()));
        };
        self.register(&first.id).await?;
        let mut done = Rewrapped::default();
        // One that was retired wraps what was restored from a backup since.
        let mut old: BTreeSet<String> = master_keys.iter().map(|key| key.id.clone()).collect();
        old.extend(self.registered().await?);
        old.remove(&first.id);
        for id in old {
            let mut after = Uuid::nil();
            while let Some(last) = self.rewrap_batch(first, &id, after, &mut done).await? {
                after = last;
            }
        }
        self.empty_the_write_ahead_log().await?;
        done.damaged.extend(self.of_no_master_key().await?);
        Ok(done)
    }

    /// People whose key has an unknown master key.
    async fn of_no_master_key(&self) -> Result<Vec<UserId>, KeyError> {
        let sql = "SELECT subject FROM data_keys WHERE destroyed_at IS NULL AND (wrapped IS NULL OR master_key IS NULL \
             OR master_key NOT IN (SELECT id FROM master_keys)) ORDER BY subject";
        let rows = self.0.database.fetch_all(sql, &[]).await?;
        let subjects = rows.iter().map(|row| Ok(UserId(row.uuid(0)?)));
        subjects.collect()
    }

    /// Rewraps the next keys of the master key `id`, above `after`, with `first`. Returns the last person; `None` when
    /// there are no more.
    async fn rewrap_batch(
        &self,
        first: &MasterKey,
        id: &str,
        after: Uuid,
        done: &mut Rewrapped,
    ) -> Result<Option<Uuid>, KeyError> {
        const READ: &str = "SELECT subject, wrapped FROM data_keys WHERE master_key = $1 AND wrapped IS NOT NULL AND subject > $2
             ORDER BY subject LIMIT $3";
        const WRITE: &str =
            "UPDATE data_keys SET master_key = $1, wrapped = $2 WHERE subject = $3 AND master_key = $4
             AND EXISTS (SELECT 1 FROM master_keys WHERE id = $1)";
        let database = &self.0.database;
        let rows = database.fetch_all(READ, &[id.into(), after.into(), BATCH.into()]).await?;
        if rows.is_empty() {
            return Ok(None);
        }
        // What a key that is in no file wraps is lost.
        let master_keys = self.0.master_keys.read_again().await?;
        if !master_keys.iter().any(|key| key.id == first.id) {
            return Err(KeyError::NoLongerThere {
                id: first.id.clone(),
                place: self.0.master_keys.place().to_owned(),
            });
        }
        let Some(old) = master_keys.iter().find(|key| key.id == id) else {
            return Err(self.other_master_key(id.to_owned()));
        };
        let mut last = after;
        let mut transaction = database.begin().await?;
        for row in &rows {
            let subject = row.uuid(0)?;
            last = subject;
            let wrapped = row.bytes(1).unwrap_or_default();
            match old.key.open(subject.as_bytes(), &wrapped) {
                Some(key) => {
                    let wrapped = first.key.seal(subject.as_bytes(), &key)?;
                    // Does not touch a key that was destroyed meanwhile.
                    let values: [Value; 4] =
                        [first.id.as_str().into(), wrapped.into(), subject.into(), id.into()];
                    done.keys += transaction.execute(WRITE, &values).await?;
                }
                None => done.damaged.push(UserId(subject)),
            }
        }
        transaction.commit().await?;
        Ok(Some(last))
    }

    /// Removes all master keys but the first from their file, if they wrap no key any more. A process that cannot read
    /// the file again wraps nothing with them afterwards.
    ///
    /// # Errors
    /// When one of them is still needed, or the first one is less than a minute old.
    pub async fn forget_old_master_keys(&self, lock: &MasterKeysLock) -> Result<(), KeyError> {
        let master_keys = self.0.master_keys.read_again().await?;
        let registered = self.registered().await?;
        if let Some(first) = master_keys.first()
            && !registered.is_empty()
            && !registered.contains(&first.id)
        {
            return Err(KeyError::NotRetired(format!(
                "the master key {} does not wrap data keys yet: rotate first",
                first.id
            )));
        }
        self.0.master_keys.require_settled()?;
        let old: Vec<String> = master_keys.iter().skip(1).map(|key| key.id.clone()).collect();
        self.unregister(&old).await?;
        self.0.master_keys.forget_old(lock).await
    }

    /// The master keys of this process.
    pub fn master_keys(&self) -> &crate::MasterKeys {
        &self.0.master_keys
    }
}

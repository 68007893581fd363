//! Copies the wrapped keys of people from one database into another. Between SQLite and PostgreSQL there is no other
//! way. It can be interrupted and repeated.

use std::collections::BTreeSet;

use database::{Database, Row, Value};
use events::UserId;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{SubjectKeys, master_key_registry::registered};
use crate::KeyError;

/// The most keys in one transaction.
const BATCH: i64 = 500;

const SELECT: &str =
    "SELECT subject, master_key, wrapped, created_at, destroyed_at FROM data_keys WHERE subject = $1";

/// The result of copying keys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Copied {
    /// The number of keys that were not here before.
    pub keys: u64,
    /// The number of keys that were destroyed here because they are destroyed in the source, or because a log has
    /// erased the person.
    pub destroyed: u64,
}

/// A stored key.
struct StoredKey {
    subject: Uuid,
    master_key: Option<String>,
    wrapped: Option<Vec<u8>>,
    created_at: i64,
    destroyed_at: Option<i64>,
}

impl SubjectKeys {
    /// Copies every key of `source`, which must have the current [`database::Schema::SubjectKeys`]. A key that is
    /// destroyed in either database is destroyed here afterwards. So are the keys of the `erased` people, because
    /// `source` may be older than the erasure. Everything is checked before anything is written. `progress` gets the
    /// number of keys that were copied.
    ///
    /// # Errors
    /// When a database does not answer, when this process does not have the master keys that wrap the keys there or one
    /// of them was retired, or when a person has a different key here, which is not changed then.
    pub async fn copy_from(
        &self,
        source: &Database,
        erased: &BTreeSet<UserId>,
        mut progress: impl FnMut(u64),
    ) -> Result<Copied, KeyError> {
        self.0.master_keys.renewed().await;
        let there = registered(source).await?;
        let mut known = self.registered().await?;
        known.extend_from_slice(&there);
        let (mut wrapping, mut after) = (BTreeSet::new(), Uuid::nil());
        while let Some(keys) = self.next_keys(source, &mut after, erased).await? {
            for key in &keys {
                self.check_key(key, &known).await?;
                wrapping.extend(key.master_key.clone());
            }
        }
        // A retired master key wraps nothing, and is in no file any more.
        for id in there.iter().filter(|id| wrapping.contains(*id)) {
            self.register(id).await?;
        }
        let (mut copied, mut after, mut read) = (Copied::default(), Uuid::nil(), 0);
        while let Some(keys) = self.next_keys(source, &mut after, erased).await? {
            self.copy(&keys, &mut copied).await?;
            read += keys.len() as u64;
            progress(read);
        }
        self.empty_the_write_ahead_log().await?;
        Ok(copied)
    }

    /// The next keys of `source`, those of the `erased` people destroyed; `None` after the last.
    async fn next_keys(
        &self,
        source: &Database,
        after: &mut Uuid,
        erased: &BTreeSet<UserId>,
    ) -> Result<Option<Vec<StoredKey>>, KeyError> {
        const READ: &str = "SELECT subject, master_key, wrapped, created_at, destroyed_at FROM data_keys
             WHERE subject > $1 ORDER BY subject LIMIT $2";
        let rows = source.fetch_all(READ, &[(*after).into(), BATCH.into()]).await?;
        let mut keys = rows.iter().map(StoredKey::read).collect::<Result<Vec<_>, _>>()?;
        let Some(last) = keys.last() else {
            return Ok(None);
        };
        *after = last.subject;
        for key in &mut keys {
            if erased.contains(&UserId(key.subject)) {
                key.destroy(self.0.clock.now().as_micros());
            }
        }
        Ok(Some(keys))
    }

    /// Checks that a key can be used here, that its master key is one of the `registered`, and that the person has no
    /// other key.
    async fn check_key(&self, key: &StoredKey, registered: &[String]) -> Result<(), KeyError> {
        if let Some(id) = &key.master_key {
            if !self.0.master_keys.ids().contains(id) {
                return Err(self.other_master_key(id.clone()));
            }
            if !registered.contains(id) {
                return Err(key.under_a_retired(id));
            }
        }
        let row = self.0.database.fetch_optional(SELECT, &[key.subject.into()]).await?;
        match row {
            Some(row) => self.check_same(&StoredKey::read(&row)?, key),
            None => Ok(()),
        }
    }

    fn check_same(&self, here: &StoredKey, key: &StoredKey) -> Result<(), KeyError> {
        let is_same = here.destroyed_at.is_some()
            || key.destroyed_at.is_some()
            || here.wrapped == key.wrapped
            || (self.unwrapped(here).is_some() && self.unwrapped(here) == self.unwrapped(key));
        match is_same {
            true => Ok(()),
            false => Err(KeyError::Another(UserId(key.subject))),
        }
    }

    async fn copy(&self, keys: &[StoredKey], copied: &mut Copied) -> Result<(), KeyError> {
        const INSERT: &str = "INSERT INTO data_keys (subject, master_key, wrapped, created_at, destroyed_at)
             SELECT $1, $2, $3, $4, $5 WHERE $2 IS NULL OR EXISTS (SELECT 1 FROM master_keys WHERE id = $2)
             ON CONFLICT (subject) DO NOTHING";
        const DESTROY: &str = "UPDATE data_keys SET master_key = NULL, wrapped = NULL, destroyed_at = $2
             WHERE subject = $1 AND destroyed_at IS NULL";
        let mut transaction = self.0.database.begin().await?;
        for key in keys {
            let values: [Value; 5] = [
                key.subject.into(),
                key.master_key.clone().into(),
                key.wrapped.clone().into(),
                key.created_at.into(),
                key.destroyed_at.into(),
            ];
            let is_new = transaction.execute(INSERT, &values).await? > 0;
            if key.destroyed_at.is_some() {
                let values = [key.subject.into(), key.destroyed_at.into()];
                let was_live = !is_new && transaction.execute(DESTROY, &values).await? > 0;
                copied.destroyed += u64::from(is_new || was_live);
            } else if is_new {
                copied.keys += 1;
            } else if let Some(row) = transaction.fetch_optional(SELECT, &[key.subject.into()]).await? {
                self.check_same(&StoredKey::read(&row)?, key)?;
            } else if let Some(retired) = &key.master_key {
                return Err(key.under_a_retired(retired));
            }
        }
        transaction.commit().await?;
        for key in keys {
            self.0.cache.invalidate(&UserId(key.subject));
        }
        Ok(())
    }

    fn unwrapped(&self, key: &StoredKey) -> Option<Zeroizing<Vec<u8>>> {
        self.unwrap(key.subject, key.master_key.as_ref()?, key.wrapped.as_deref()?)
    }
}

impl StoredKey {
    fn under_a_retired(&self, master_key: &str) -> KeyError {
        KeyError::RetiredMasterKey { subject: UserId(self.subject), id: master_key.to_owned() }
    }

    fn destroy(&mut self, now: i64) {
        (self.master_key, self.wrapped) = (None, None);
        self.destroyed_at.get_or_insert(now);
    }

    fn read(row: &Row) -> Result<Self, KeyError> {
        Ok(Self {
            subject: row.uuid(0)?,
            master_key: row.optional_text(1)?,
            wrapped: row.optional_bytes(2)?,
            created_at: row.integer(3)?,
            destroyed_at: row.optional_integer(4)?,
        })
    }
}

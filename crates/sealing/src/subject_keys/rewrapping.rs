//! Wraps data keys again by the master key that comes first, while everything runs. No event is touched. It can be broken off
//! at any time and goes on where it was.

use database::Value;
use events::UserId;
use uuid::Uuid;

use super::SubjectKeys;
use crate::KeyError;

/// Keys that are wrapped again in one transaction.
const BATCH: i64 = 500;

/// What became of the keys of people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rewrapped {
    /// How many are wrapped by the first master key now that were not before.
    pub keys: u64,
    /// Whose key cannot be unwrapped, so that it was left as it is.
    pub damaged: Vec<UserId>,
}

impl SubjectKeys {
    /// Has the first master key wrap every data key.
    ///
    /// # Errors
    /// When the database does not answer, or a master key is missing. What has been wrapped again stays so.
    pub async fn rewrap(&self) -> Result<Rewrapped, KeyError> {
        let master_keys = self.0.master_keys.renewed().await;
        let Some(first) = master_keys.first() else {
            return Err(KeyError::Missing(self.0.master_keys.place().to_owned()));
        };
        self.register(&first.id).await?;
        let mut done = Rewrapped::default();
        for id in self.registered().await? {
            if id == first.id {
                continue;
            }
            let mut after = Uuid::nil();
            while let Some(last) = self.rewrap_batch(&id, after, &mut done).await? {
                after = last;
            }
        }
        self.empty_the_write_ahead_log().await?;
        done.damaged.extend(self.of_no_master_key().await?);
        Ok(done)
    }

    /// Those whose keys no master key can have wrapped.
    async fn of_no_master_key(&self) -> Result<Vec<UserId>, KeyError> {
        let sql = "SELECT subject FROM data_keys WHERE destroyed_at IS NULL AND (wrapped IS NULL OR master_key IS NULL \
             OR master_key NOT IN (SELECT id FROM master_keys)) ORDER BY subject";
        let rows = self.0.database.fetch_all(sql, &[]).await?;
        let subjects = rows.iter().map(|row| Ok(UserId(row.uuid(0)?)));
        subjects.collect()
    }

    /// The next keys that the master key `id` wraps, above `after`. Returns whose was the last; `None` when there are none.
    async fn rewrap_batch(
        &self,
        id: &str,
        after: Uuid,
        done: &mut Rewrapped,
    ) -> Result<Option<Uuid>, KeyError> {
        const READ: &str = "SELECT subject, wrapped FROM data_keys WHERE master_key = $1 AND wrapped IS NOT NULL AND subject > $2
             ORDER BY subject LIMIT $3";
        const WRITE: &str =
            "UPDATE data_keys SET master_key = $1, wrapped = $2 WHERE subject = $3 AND master_key = $4";
        let database = &self.0.database;
        let rows = database
            .fetch_all(READ, &[id.into(), after.into(), BATCH.into()])
            .await?;
        if rows.is_empty() {
            return Ok(None);
        }
        let master_keys = self.0.master_keys.known();
        let (Some(first), Some(old)) = (master_keys.first(), master_keys.iter().find(|key| key.id == id))
        else {
            return Err(self.other_master_key(id.to_owned()));
        };
        let mut last = after;
        let mut transaction = database.begin().await?;
        for row in &rows {
            let subject = row.uuid(0)?;
            last = subject;
            match old.key.open(subject.as_bytes(), &row.bytes(1)?) {
                Some(key) => {
                    let wrapped = first.key.seal(subject.as_bytes(), &key)?;
                    // Not one that was destroyed meanwhile.
                    let values: [Value; 4] = [
                        first.id.as_str().into(),
                        wrapped.into(),
                        subject.into(),
                        id.into(),
                    ];
                    done.keys += transaction.execute(WRITE, &values).await?;
                }
                None => done.damaged.push(UserId(subject)),
            }
        }
        transaction.commit().await?;
        Ok(Some(last))
    }

    /// Takes the master keys that wrap nothing any more out of their file, all but the first.
    ///
    /// # Errors
    /// When one of them is still needed, or the first was put there less than a minute ago.
    pub async fn forget_old_master_keys(&self) -> Result<(), KeyError> {
        let master_keys = self.0.master_keys.renewed().await;
        for old in master_keys.iter().skip(1) {
            let sql = "SELECT subject FROM data_keys WHERE master_key = $1 LIMIT 1";
            let row = self
                .0
                .database
                .fetch_optional(sql, &[old.id.as_str().into()])
                .await?;
            if row.is_some() {
                return Err(KeyError::NotRetired(format!(
                    "the master key {} still wraps data keys: rotate first",
                    old.id
                )));
            }
        }
        self.0.master_keys.forget_old().await
    }

    /// The master keys of this process.
    #[must_use]
    pub fn master_keys(&self) -> &crate::MasterKeys {
        &self.0.master_keys
    }
}

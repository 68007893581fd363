//! The registry of master keys that may wrap data keys. A process with other master keys reports this instead of
//! wrapping with them. A retired one is taken out of it, so that a process that still has it wraps nothing more.

use database::{Database, DatabaseError};

use super::SubjectKeys;
use crate::{KeyError, master_keys::MasterKey};

/// How often it is tried to register a master key. Each time another process was faster.
const ROUNDS: usize = 10;
const WRAPPED_BY: &str = "SELECT subject FROM data_keys WHERE master_key = $1 LIMIT 1";

/// The ids of the master keys that may wrap data keys, the oldest first.
pub(super) async fn registered(database: &Database) -> Result<Vec<String>, DatabaseError> {
    let rows = database.fetch_all("SELECT id FROM master_keys ORDER BY number", &[]).await?;
    rows.iter().map(|row| row.text(0)).collect()
}

impl SubjectKeys {
    /// Whether any data key has ever been made in `database`, so that new master keys must not be created.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn are_in_use(database: &Database) -> Result<bool, KeyError> {
        Ok(!registered(database).await?.is_empty())
    }

    /// The ids of the master keys that may wrap data keys, the oldest first.
    pub(super) async fn registered(&self) -> Result<Vec<String>, DatabaseError> {
        registered(&self.0.database).await
    }

    /// Checks that this process has every master key that wraps a data key.
    pub(super) async fn check_master_keys(&self) -> Result<(), KeyError> {
        let registered = self.registered().await?;
        self.check(&registered)?;
        let ours = self.0.master_keys.ids();
        for id in registered.iter().filter(|id| !ours.contains(id)) {
            if self.wraps_any(id).await? {
                return Err(self.other_master_key(id.clone()));
            }
        }
        Ok(())
    }

    /// Whether any data key is wrapped by the master key `id`.
    pub(super) async fn wraps_any(&self, id: &str) -> Result<bool, DatabaseError> {
        let row = self.0.database.fetch_optional(WRAPPED_BY, &[id.into()]).await?;
        Ok(row.is_some())
    }

    /// Fails if the master key `id` was retired.
    pub(super) async fn require_registered(&self, id: &str) -> Result<(), KeyError> {
        self.require_one(&self.registered().await?, &[id.to_owned()])
    }

    /// Takes the master keys `ids` out of the registry. Nothing can be wrapped by them afterwards.
    ///
    /// # Errors
    /// When one of them wraps a data key; then all stay registered.
    pub(super) async fn unregister(&self, ids: &[String]) -> Result<(), KeyError> {
        let mut transaction = self.0.database.begin().await?;
        if transaction.is_postgres() {
            // Waits for those who are making keys. Whoever comes later sees that the master key is gone.
            let sql = "LOCK TABLE data_keys IN SHARE ROW EXCLUSIVE MODE";
            transaction.execute(sql, &[]).await?;
        }
        for id in ids {
            let values = [id.as_str().into()];
            let delete = "DELETE FROM master_keys WHERE id = $1";
            transaction.execute(delete, &values).await?;
            if transaction.fetch_optional(WRAPPED_BY, &values).await?.is_some() {
                return Err(KeyError::NotRetired(format!(
                    "the master key {id} still wraps data keys: rotate first"
                )));
            }
        }
        Ok(transaction.commit().await?)
    }

    fn check(&self, registered: &[String]) -> Result<(), KeyError> {
        self.require_one(registered, &self.0.master_keys.ids())
    }

    /// Fails if master keys are registered and none of `ids` is among them.
    fn require_one(&self, registered: &[String], ids: &[String]) -> Result<(), KeyError> {
        match registered.last() {
            Some(last) if !registered.iter().any(|id| ids.contains(id)) => {
                Err(self.other_master_key(last.clone()))
            }
            _ => Ok(()),
        }
    }

    /// The one of `master_keys` that wraps new data keys: the first that is registered, because other processes may
    /// not have a key yet that no rotation has registered. If none was ever registered, the first one is.
    ///
    /// # Errors
    /// When data keys are wrapped by others, none of which this process has.
    pub(super) async fn wrapping_key<'a>(
        &self,
        master_keys: &'a [MasterKey],
    ) -> Result<&'a MasterKey, KeyError> {
        const SQL: &str =
            "INSERT INTO master_keys (number, id, first_used_at) VALUES (1, $1, $2) ON CONFLICT DO NOTHING";
        for _ in 0..ROUNDS {
            let registered = self.registered().await?;
            if let Some(key) = master_keys.iter().find(|key| registered.contains(&key.id)) {
                return Ok(key);
            }
            self.check(&registered)?;
            let Some(first) = master_keys.first() else {
                return Err(KeyError::Missing(self.0.master_keys.place().to_owned()));
            };
            // When several processes come at once, one gets the number, and the others read its key.
            self.insert(SQL, &first.id).await?;
        }
        Err(KeyError::NotRegistered)
    }

    /// Records that the master key `id` is going to wrap keys.
    ///
    /// # Errors
    /// When data keys are wrapped by others, none of which this process has.
    pub(super) async fn register(&self, id: &str) -> Result<(), KeyError> {
        const SQL: &str = "INSERT INTO master_keys (number, id, first_used_at)
             VALUES ((SELECT COALESCE(MAX(number), 0) + 1 FROM master_keys), $1, $2) ON CONFLICT DO NOTHING";
        for _ in 0..ROUNDS {
            let registered = self.registered().await?;
            if registered.iter().any(|known| known == id) {
                return Ok(());
            }
            self.check(&registered)?;
            // When several are registered at once, one gets the number, and the others read again.
            self.insert(SQL, id).await?;
        }
        Err(KeyError::NotRegistered)
    }

    async fn insert(&self, sql: &str, id: &str) -> Result<(), DatabaseError> {
        let now = self.0.clock.now().as_micros();
        let values = [id.into(), now.into()];
        self.0.database.execute(sql, &values).await.map(drop)
    }
}

//! The registry of master keys that have wrapped data keys. A process with other master keys reports this instead of
//! wrapping with them.

use database::{Database, DatabaseError};

use super::SubjectKeys;
use crate::KeyError;

/// The ids of the master keys that have wrapped data keys, the oldest first.
pub(super) async fn registered(database: &Database) -> Result<Vec<String>, DatabaseError> {
    let rows = database
        .fetch_all("SELECT id FROM master_keys ORDER BY number", &[])
        .await?;
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

    /// The ids of the master keys that have wrapped data keys, the oldest first.
    pub(super) async fn registered(&self) -> Result<Vec<String>, DatabaseError> {
        registered(&self.0.database).await
    }

    /// Checks that the master keys of this process are those that were used before.
    pub(super) async fn check_master_keys(&self) -> Result<(), KeyError> {
        let registered = self.registered().await?;
        self.check(&registered)
    }

    fn check(&self, registered: &[String]) -> Result<(), KeyError> {
        let ours = self.0.master_keys.ids();
        match registered.last() {
            Some(last) if !registered.iter().any(|id| ours.contains(id)) => {
                Err(self.other_master_key(last.clone()))
            }
            _ => Ok(()),
        }
    }

    /// Records that the master key `id` is going to wrap keys.
    ///
    /// # Errors
    /// When data keys are wrapped by others, none of which this process has.
    pub(super) async fn register(&self, id: &str) -> Result<(), KeyError> {
        const SQL: &str =
            "INSERT INTO master_keys (number, id, first_used_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
        let database = &self.0.database;
        loop {
            let registered = self.registered().await?;
            if registered.iter().any(|known| known == id) {
                return Ok(());
            }
            self.check(&registered)?;
            // When several are registered at once, one gets the number, and the others read again.
            let number = registered.len() as u64 + 1;
            let now = self.0.clock.now().as_micros();
            database
                .execute(SQL, &[number.into(), id.into(), now.into()])
                .await?;
        }
    }
}

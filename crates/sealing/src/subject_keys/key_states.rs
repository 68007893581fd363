//! Answers whether people have keys and whose are destroyed, without decrypting any.

use std::collections::BTreeSet;

use database::{Database, Dialect, StatementTimeout, list_parameter};
use events::UserId;

use super::{KEYS_PER_STATEMENT, SubjectKey, SubjectKeys};
use crate::KeyError;

const COUNT_ALL: &str = "SELECT COUNT(*) AS rows FROM data_keys";
const COUNT_DESTROYED: &str = "SELECT COUNT(*) AS rows FROM data_keys WHERE destroyed_at IS NOT NULL";

/// The number of people with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyCount {
    /// People whose key exists.
    pub held: u64,
    /// People whose key was destroyed.
    pub destroyed: u64,
}

impl SubjectKeys {
    /// Whether `database` is empty: no key was ever created or destroyed.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn are_none(database: &Database) -> Result<bool, KeyError> {
        let row = database.fetch_optional("SELECT subject FROM data_keys LIMIT 1", &[]).await?;
        Ok(row.is_none() && !Self::are_in_use(database).await?)
    }

    /// The `subjects` who never had a key here.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn lacking(&self, subjects: &BTreeSet<UserId>) -> Result<BTreeSet<UserId>, KeyError> {
        let known = self.those_with(subjects, "TRUE").await?;
        Ok(subjects.difference(&known).copied().collect())
    }

    /// The `subjects` whose keys are destroyed.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn destroyed(&self, subjects: &BTreeSet<UserId>) -> Result<BTreeSet<UserId>, KeyError> {
        self.those_with(subjects, "destroyed_at IS NOT NULL").await
    }

    /// The `subjects` who have a row with this condition. Nothing is decrypted or kept, since there may be very many.
    async fn those_with(
        &self,
        subjects: &BTreeSet<UserId>,
        condition: &str,
    ) -> Result<BTreeSet<UserId>, KeyError> {
        let sql = format!(
            "SELECT subject FROM data_keys WHERE {condition} AND {}",
            Dialect::of(&self.0.database).one_of("subject", "uuid", 1)
        );
        let (mut found, mut rest) = (BTreeSet::new(), subjects.iter());
        loop {
            let some: Vec<String> = rest.by_ref().take(KEYS_PER_STATEMENT).map(UserId::to_string).collect();
            if some.is_empty() {
                return Ok(found);
            }
            for row in self.0.database.fetch_all(&sql, &[list_parameter(some)]).await? {
                found.insert(UserId(row.uuid(0)?));
            }
        }
    }

    /// Whether keys can be made now. For readiness.
    ///
    /// # Errors
    /// When the database does not accept them.
    pub async fn can_make(&self) -> Result<(), KeyError> {
        Ok(self.0.database.can_write_to("data_keys").await?)
    }

    /// Whether the key of `subject` was destroyed.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn is_destroyed(&self, subject: UserId) -> Result<bool, KeyError> {
        let keys = self.of(&BTreeSet::from([subject])).await?;
        Ok(matches!(keys.get(&subject), Some(SubjectKey::Destroyed)))
    }

    /// How many keys there are, and how many were destroyed.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn count(&self) -> Result<KeyCount, KeyError> {
        let destroyed = self.count_destroyed().await?;
        let rows = self.count_rows(COUNT_ALL).await?;
        Ok(KeyCount { held: rows.saturating_sub(destroyed), destroyed })
    }

    /// How many keys were destroyed, from an index of those alone.
    pub(crate) async fn count_destroyed(&self) -> Result<u64, KeyError> {
        self.count_rows(COUNT_DESTROYED).await
    }

    async fn count_rows(&self, sql: &str) -> Result<u64, KeyError> {
        let database = self.0.database.with_statement_timeout(StatementTimeout::Page);
        Ok(database.number(sql, &[]).await?)
    }
}

#[cfg(test)]
mod tests {
    use database::Schema;

    use super::*;

    #[tokio::test]
    async fn destroyed_keys_are_counted_by_an_index_of_those_alone() {
        let directory = tempfile::tempdir().unwrap();
        let url = Database::file_url(&directory.path().join("subject-keys.db"));
        let database = Database::open(&url, Schema::SubjectKeys, 1).await.unwrap();
        let explain = format!("EXPLAIN QUERY PLAN {COUNT_DESTROYED}");
        let rows = database.fetch_all(&explain, &[]).await.unwrap();
        let plan: Vec<_> = rows.iter().map(|row| row.text("detail").unwrap()).collect();
        assert!(plan.len() == 1 && plan[0].contains("INDEX data_keys_destroyed"), "{plan:?}");
    }
}

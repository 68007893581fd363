//! A table of snapshots: what is kept is a text, which whoever keeps it makes and reads. Reading and writing have a deadline, since
//! whoever asks can do without.

use std::{fmt::Display, time::Duration};

use database::{Database, DatabaseError, Value};
use tokio::time::timeout;

/// Nobody waits longer for a snapshot.
const TIMEOUT: Duration = Duration::from_secs(1);
/// Rows deleted at once, so that nobody waits long for a lock.
const ROWS: u64 = 1_000;

/// A table with the columns `fold`, `version` and `state`, and how it is written.
#[derive(Debug, Clone, Copy)]
pub struct SnapshotSql {
    /// Whose states are kept, for the log: `task`.
    pub of: &'static str,
    /// The meaning of what is kept. To be raised when the fold changes, so that what an older one made is ignored.
    pub fold: i64,
    /// The most snapshots that are kept.
    pub most: u64,
    /// The name of the table.
    pub table: &'static str,
    /// Its column of ids.
    pub key: &'static str,
    /// Writes a row with the fold `$1` and what else the table has. Where a log was restored the newer state may have the smaller
    /// version, so that the last one written counts.
    pub put: &'static str,
}

/// A table of snapshots.
#[derive(Debug, Clone)]
pub struct SnapshotTable {
    database: Database,
    sql: SnapshotSql,
}

impl SnapshotTable {
    /// The table in `database` that `sql` is about.
    #[must_use]
    pub const fn new(database: Database, sql: SnapshotSql) -> Self {
        Self { database, sql }
    }

    /// What was last kept of `id`; nothing when it cannot be had soon.
    pub async fn find(&self, id: uuid::Uuid) -> Option<String> {
        let SnapshotSql { table, key, fold, .. } = self.sql;
        let find = format!("SELECT state FROM {table} WHERE {key} = $1 AND fold = $2");
        let reading = async {
            let row = self
                .database
                .fetch_optional(&find, &[id.into(), fold.into()])
                .await?;
            row.map(|row| row.text("state")).transpose()
        };
        match timeout(TIMEOUT, reading).await {
            Ok(Ok(kept)) => kept,
            Ok(Err(error)) => {
                tracing::warn!(of = self.sql.of, %id, %error, "cannot read a snapshot, doing without");
                None
            }
            Err(_) => None,
        }
    }

    /// Keeps a state of `id` in place of an older one, if that can be done soon. `values` are those after the fold.
    pub async fn put<const N: usize>(&self, id: impl Display, values: [Value; N]) {
        let mut all = vec![self.sql.fold.into()];
        all.extend(values);
        match timeout(TIMEOUT, self.database.execute(self.sql.put, &all)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(of = self.sql.of, %id, %error, "cannot keep a snapshot"),
            Err(_) => tracing::warn!(of = self.sql.of, %id, "cannot keep a snapshot in time"),
        }
    }

    /// Deletes what an older fold made, and the states of the shortest streams beyond the number that is kept. Returns how many
    /// there were.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn clean_up(&self) -> Result<u64, DatabaseError> {
        let SnapshotSql {
            table,
            key,
            fold,
            most,
            ..
        } = self.sql;
        let delete_old = format!("DELETE FROM {table} WHERE fold <> $1");
        let delete_shortest = format!(
            "DELETE FROM {table} WHERE {key} IN \
             (SELECT {key} FROM {table} ORDER BY version DESC LIMIT $1 OFFSET $2)"
        );
        let mut total = self.database.execute(&delete_old, &[fold.into()]).await?;
        loop {
            let values = [ROWS.into(), most.into()];
            let deleted = self.database.execute(&delete_shortest, &values).await?;
            total += deleted;
            if deleted < ROWS {
                return Ok(total);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use database::Schema;
    use uuid::Uuid;

    use super::*;

    const SQL: SnapshotSql = SnapshotSql {
        of: "account",
        fold: 2,
        most: 2,
        table: "account_snapshots",
        key: "owner",
        put: "INSERT INTO account_snapshots (fold, owner, version, state) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (owner) DO UPDATE SET fold = excluded.fold, version = excluded.version, state = excluded.state",
    };

    #[tokio::test]
    async fn the_last_state_is_found_and_few_of_one_fold_are_kept() {
        let directory = tempfile::tempdir().unwrap();
        let url = Database::file_url(&directory.path().join("operations.db"));
        let database = Database::open(&url, Schema::Operations, 2).await.unwrap();
        let table = SnapshotTable::new(database.clone(), SQL);
        let older = SnapshotTable::new(database, SnapshotSql { fold: 1, ..SQL });
        let ids = [1, 2, 3, 4].map(Uuid::from_u128);
        let put = async |table: &SnapshotTable, id: Uuid, version: i64, state: &str| {
            table.put(id, [id.into(), version.into(), state.into()]).await;
        };
        put(&older, ids[0], 9, "of an older fold").await;
        for (id, version) in ids[1..].iter().zip([7, 5, 6]) {
            put(&table, *id, version + 10, "former").await;
            put(&table, *id, version, "last").await;
        }
        assert_eq!(table.find(ids[0]).await, None);
        assert_eq!(table.find(ids[2]).await.as_deref(), Some("last"));
        assert_eq!(table.clean_up().await.unwrap(), 2);
        assert_eq!(older.find(ids[0]).await, None);
        let kept = [
            table.find(ids[1]).await,
            table.find(ids[2]).await,
            table.find(ids[3]).await,
        ];
        assert_eq!(kept.map(|state| state.is_some()), [true, false, true]);
        assert_eq!(table.clean_up().await.unwrap(), 0);
    }
}

//! A table of snapshots. The state is a text that the caller writes and reads. All access has a deadline, because
//! callers can work without a snapshot.

use std::{fmt::Display, time::Duration};

use database::{Database, DatabaseError, Value};
use tokio::time::timeout;

/// How long a caller waits for a snapshot.
const TIMEOUT: Duration = Duration::from_secs(1);

/// A table with the columns `fold`, `version` and `state`, and the statement that writes a row.
#[derive(Debug, Clone, Copy)]
pub struct SnapshotSql {
    /// The kind of aggregate, for the log, for example `task`.
    pub of: &'static str,
    /// The version of the stored form. Increased when the fold changes, so that older snapshots are ignored.
    pub fold: i64,
    /// The most snapshots that are kept.
    pub most: u64,
    /// The name of the table.
    pub table: &'static str,
    /// Its column of ids.
    pub key: &'static str,
    /// Writes a row with the fold `$1` and the other columns. The last one written wins: after a restore of the log
    /// the newer state may have the smaller version.
    pub put: &'static str,
}

/// A table of snapshots.
#[derive(Debug, Clone)]
pub struct SnapshotTable {
    database: Database,
    sql: SnapshotSql,
}

impl SnapshotTable {
    /// Creates the table in `database` that `sql` describes.
    pub const fn new(database: Database, sql: SnapshotSql) -> Self {
        Self { database, sql }
    }

    /// The stored state of `id`; `None` when it cannot be read in time.
    pub async fn find(&self, id: uuid::Uuid) -> Option<String> {
        let SnapshotSql { table, key, fold, .. } = self.sql;
        let find = format!("SELECT state FROM {table} WHERE {key} = $1 AND fold = $2");
        let reading = async {
            let row = self.database.fetch_optional(&find, &[id.into(), fold.into()]).await?;
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

    /// Replaces the stored state of `id`, if that can be done in time. `values` are the columns after `fold`.
    pub async fn put<const N: usize>(&self, id: impl Display, values: [Value; N]) {
        let mut all = vec![self.sql.fold.into()];
        all.extend(values);
        match timeout(TIMEOUT, self.database.execute(self.sql.put, &all)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(of = self.sql.of, %id, %error, "cannot keep a snapshot"),
            Err(_) => tracing::warn!(of = self.sql.of, %id, "cannot keep a snapshot in time"),
        }
    }

    /// Deletes snapshots of an older fold, and those of the shortest streams beyond the maximum. Returns how many
    /// were deleted.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn clean_up(&self) -> Result<u64, DatabaseError> {
        let SnapshotSql { table, key, fold, most, .. } = self.sql;
        let delete_old = format!("DELETE FROM {table} WHERE fold <> $1");
        let delete_shortest = format!(
            "DELETE FROM {table} WHERE {key} IN \
             (SELECT {key} FROM {table} ORDER BY version DESC LIMIT $1 OFFSET $2)"
        );
        let old = self.database.execute(&delete_old, &[fold.into()]).await?;
        let shortest = self.database.delete_in_batches(&delete_shortest, &[most.into()], u64::MAX).await?;
        Ok(old + shortest)
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
        let kept = [table.find(ids[1]).await, table.find(ids[2]).await, table.find(ids[3]).await];
        assert_eq!(kept.map(|state| state.is_some()), [true, false, true]);
        assert_eq!(table.clean_up().await.unwrap(), 0);
    }
}

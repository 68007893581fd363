//! Deletes the data of a person's commands from the database of operations.
//!
//! Most of these tables belong to command-api. A new table of operations with a column for the owner needs a statement
//! here; a test compares the statements with the schema.

use std::collections::BTreeSet;

use database::{Database, DatabaseError, readable_page};
use events::UserId;

/// Deletes the rows of the person `$1`, each with an index.
const STATEMENTS: [&str; 3] = [
    "DELETE FROM idempotency_keys WHERE owner = $1",
    "DELETE FROM task_snapshots WHERE owner = $1",
    "DELETE FROM account_snapshots WHERE owner = $1",
];

/// The tables from which nothing is deleted because of its age.
pub(super) const TABLES_THAT_STAY: [&str; 2] = ["task_snapshots", "account_snapshots"];

/// Up to `limit` people after `after` of whom there is something in `table`, in the order of their ids.
pub(super) async fn owners(
    operations: &Database,
    table: &str,
    after: Option<UserId>,
    limit: u64,
) -> Result<BTreeSet<UserId>, DatabaseError> {
    let sql = format!("SELECT DISTINCT owner FROM {table} WHERE owner > $1 ORDER BY owner LIMIT $2");
    let after = after.map(|after| after.0).unwrap_or_default();
    let values = vec![after.into(), limit.into()];
    let owners =
        readable_page(operations, table, &["owner"], &sql, values, |row| Ok(UserId(row.uuid("owner")?)));
    Ok(owners.await?.into_iter().collect())
}

/// Deletes the idempotency keys of `person` with their stored answers, and the snapshots of their tasks and of their
/// account. Returns the number of deleted rows. Can be repeated.
pub(super) async fn forget_commands(operations: &Database, person: UserId) -> Result<u64, DatabaseError> {
    let mut deleted = 0;
    for sql in STATEMENTS {
        deleted += operations.execute(sql, &[person.0.into()]).await?;
    }
    Ok(deleted)
}

#[cfg(test)]
mod tests {
    use database::Value;
    use test_support::{Footing, TestStorage, on_both_footings};
    use uuid::Uuid;

    use super::*;

    /// The tables from which nothing is deleted, and why.
    const OTHERS: [(&str, &str); 7] = [
        ("_sqlx_migrations", "no people"),
        ("relay_progress", "no people"),
        ("password_hash_costs", "parameters of hashes, of no account"),
        ("address_allowances", "client addresses as keyed hashes, of no account"),
        ("authentication_failures", "auth deletes them, since only it can make the keys"),
        ("familiar_addresses", "likewise"),
        ("pending_erasures", "the work itself: it goes when all is done"),
    ];

    const ERASED: [&str; 3] = ["idempotency_keys", "task_snapshots", "account_snapshots"];

    async fn tables(operations: &Database) -> BTreeSet<String> {
        let sql = if operations.is_postgres() {
            "SELECT table_name::text AS name FROM information_schema.tables WHERE table_schema = 'operations'"
        } else {
            "SELECT name FROM sqlite_master WHERE type = 'table'"
        };
        let rows = operations.fetch_all(sql, &[]).await.unwrap();
        rows.iter().map(|row| row.text("name").unwrap()).collect()
    }

    async fn count(operations: &Database, table: &str, owner: UserId) -> u64 {
        let sql = format!("SELECT count(*) AS rows FROM {table} WHERE owner = $1");
        let row = operations.fetch_optional(&sql, &[owner.0.into()]).await.unwrap();
        row.unwrap().unsigned("rows").unwrap()
    }

    async fn every_table_is_emptied_or_holds_nobody(footing: Footing) {
        let storage = TestStorage::new(footing).await;
        let operations = storage.operations().await;
        let known: BTreeSet<String> =
            OTHERS.iter().map(|(table, _)| *table).chain(ERASED).map(str::to_owned).collect();
        assert_eq!(tables(&operations).await, known, "say how a person is erased from it");

        let people = [1, 2].map(|number| UserId(Uuid::from_u128(number)));
        for (number, person) in people.iter().enumerate() {
            let task = Uuid::from_u128(number as u128 + 10);
            let key: [Value; 3] = [person.0.into(), vec![0_u8; 32].into(), task.into()];
            let keys = "INSERT INTO idempotency_keys (owner, key, request_hash, task_id, leased_until, created_at) \
                 VALUES ($1, 'key', $2, $3, 0, 0)";
            operations.execute(keys, &key).await.unwrap();
            let snapshots = "INSERT INTO task_snapshots (task_id, owner, fold, version, state) VALUES ($1, $2, 1, 1, '{}')";
            operations.execute(snapshots, &[task.into(), person.0.into()]).await.unwrap();
            let account =
                "INSERT INTO account_snapshots (owner, fold, version, state) VALUES ($1, 1, 1, 'sealed')";
            operations.execute(account, &[person.0.into()]).await.unwrap();
        }
        for table in TABLES_THAT_STAY {
            let first = owners(&operations, table, None, 1).await.unwrap();
            let rest = owners(&operations, table, Some(people[0]), 2).await.unwrap();
            assert_eq!((first, rest), ([people[0]].into(), [people[1]].into()), "{table}");
        }
        assert_eq!(forget_commands(&operations, people[0]).await.unwrap(), 3);
        assert_eq!(forget_commands(&operations, people[0]).await.unwrap(), 0);
        for table in ERASED {
            assert_eq!(count(&operations, table, people[0]).await, 0, "{table}");
            assert_eq!(count(&operations, table, people[1]).await, 1, "{table}");
        }
    }

    on_both_footings!(every_table_is_emptied_or_holds_nobody);
}

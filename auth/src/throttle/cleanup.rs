//! Limits the size of the throttle's tables: deletes expired counters, and the least important rows beyond a maximum.

use std::{sync::Arc, time::Duration};

use database::{DatabaseError, Value};
use runtime::Rounds;
use tokio_util::sync::CancellationToken;

use super::{Throttle, failures_by_account::MAX_FAILURES};

const INTERVAL: Duration = Duration::from_secs(60);
/// The most rows of one table, about 30 MB. Each row took a password hash to make.
const MAX_ROWS: u64 = 200_000;
const DAY: i64 = 24 * 3_600 * 1_000_000;
/// Failures are forgotten after this time without one, unless a reset is needed.
const FAILURES_COUNT_FOR: i64 = 30 * DAY;
/// An address that was not used for this time is not familiar any more.
const FAMILIAR_FOR: i64 = 90 * DAY;

/// The tables, with the columns of their key, and the order in which rows are deleted.
const TABLES: [(&str, &str, &str); 3] = [
    ("authentication_failures", "key", "failures, updated_at"),
    ("familiar_addresses", "account, address", "days, used_at"),
    ("address_allowances", "key", "full_at"),
];

/// Cleans the tables once a minute, until `stop` is cancelled.
pub(crate) async fn keep_cleaning_up(throttle: Arc<Throttle>, stop: CancellationToken) {
    let mut rounds = Rounds::every(INTERVAL, stop);
    while rounds.next().await {
        match throttle.tidy(MAX_ROWS).await {
            Ok(0) => {}
            Ok(deleted) => tracing::debug!(deleted, "deleted old counters of failed logins"),
            Err(error) => tracing::warn!(%error, "old counters of failed logins cannot be deleted"),
        }
    }
}

impl Throttle {
    /// Deletes expired and surplus rows, and returns how many.
    async fn tidy(&self, most_rows: u64) -> Result<u64, DatabaseError> {
        let now = self.now();
        let mut deleted = self
            .delete(
                "authentication_failures",
                "key",
                &format!("WHERE failures < {MAX_FAILURES} AND updated_at < $2 ORDER BY failures, updated_at"),
                Some(now - FAILURES_COUNT_FOR),
                u64::MAX,
            )
            .await?;
        deleted += self
            .delete(
                "familiar_addresses",
                "account, address",
                "WHERE used_at < $2 ORDER BY used_at",
                Some(now - FAMILIAR_FOR),
                u64::MAX,
            )
            .await?;
        deleted += self
            .delete(
                "address_allowances",
                "key",
                "WHERE full_at < $2 ORDER BY full_at",
                Some(now),
                u64::MAX,
            )
            .await?;
        for (table, key, order) in TABLES {
            let sql = format!("SELECT count(*) AS rows FROM {table}");
            let rows = self.operations.number(&sql, &[]).await?;
            let surplus = rows.saturating_sub(most_rows);
            if surplus > 0 {
                tracing::warn!(
                    table,
                    rows,
                    "there are more counters of failed logins than are kept"
                );
                deleted += self
                    .delete(table, key, &format!("ORDER BY {order}"), None, surplus)
                    .await?;
            }
        }
        Ok(deleted)
    }

    /// Deletes at most `most` of the rows that `which` selects, those from before `before`, which is `$2`.
    async fn delete(
        &self,
        table: &str,
        key: &str,
        which: &str,
        before: Option<i64>,
        most: u64,
    ) -> Result<u64, DatabaseError> {
        let sql =
            format!("DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} {which} LIMIT $1)");
        let values: Vec<Value> = before.map(Value::from).into_iter().collect();
        self.operations.delete_in_batches(&sql, &values, most).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use database::{Database, Schema};
    use events::Timestamp;
    use runtime::Clock;
    use test_support::TestDatabase;

    use super::*;
    use crate::throttle::failures_by_address::Allowance;

    #[derive(Debug, Default)]
    struct At(AtomicI64);

    impl Clock for At {
        fn now(&self) -> Timestamp {
            Timestamp::from_micros(self.0.load(Ordering::SeqCst))
        }
    }

    async fn count(throttle: &Throttle, table: &str) -> u64 {
        let sql = format!("SELECT count(*) AS rows FROM {table}");
        let row = throttle.operations.fetch_optional(&sql, &[]).await.unwrap();
        row.unwrap().unsigned("rows").unwrap()
    }

    async fn is_bounded(operations: Database) {
        let clock = Arc::new(At(AtomicI64::new(1_000 * DAY)));
        let throttle = Throttle::new(operations, Arc::clone(&clock) as _);
        let now = throttle.now();
        for number in 0..10_i64 {
            let key = format!("key {number}");
            for (sql, values) in [
                (
                    "INSERT INTO authentication_failures VALUES ($1, $2, 0, $3)",
                    vec![key.as_str().into(), Value::from(number * 20), now.into()],
                ),
                (
                    "INSERT INTO familiar_addresses (account, address, used_at, days) VALUES ('account', $1, $2, $3)",
                    vec![
                        key.as_str().into(),
                        (now - number * DAY).into(),
                        // The newest ones were used only once.
                        number.min(2).into(),
                    ],
                ),
                (
                    "INSERT INTO address_allowances VALUES ($1, $2)",
                    vec![key.as_str().into(), (now + number).into()],
                ),
            ] {
                throttle.operations.execute(sql, &values).await.unwrap();
            }
        }
        assert_eq!(throttle.tidy(10).await.unwrap(), 0);
        assert_eq!(throttle.tidy(8).await.unwrap(), 6);
        for (table, _, _) in TABLES {
            assert_eq!(count(&throttle, table).await, 8, "{table}");
        }
        let least = "SELECT min(failures) AS least FROM authentication_failures";
        let row = throttle.operations.fetch_optional(least, &[]).await.unwrap();
        assert_eq!(
            row.unwrap().integer("least").unwrap(),
            40,
            "what says least goes first"
        );
        let least = "SELECT min(days) AS least FROM familiar_addresses";
        let row = throttle.operations.fetch_optional(least, &[]).await.unwrap();
        assert_eq!(
            row.unwrap().integer("least").unwrap(),
            2,
            "also when it was used last"
        );

        clock.0.store(now + 91 * DAY, Ordering::SeqCst);
        throttle.tidy(10).await.unwrap();
        assert_eq!(count(&throttle, "familiar_addresses").await, 0);
        assert_eq!(count(&throttle, "address_allowances").await, 0);
        let left = count(&throttle, "authentication_failures").await;
        assert_eq!(left, 5, "an account that needs a reset needs it for ever");
    }

    async fn allowances_have_an_end(operations: &Database) {
        const ALLOWANCE: Allowance = Allowance {
            prefix: "tests-",
            micros_for_one: 1_000_000,
            burst: 20,
        };
        let now = 1_000 * DAY;
        let mut used = 0;
        while ALLOWANCE
            .count_if_left(operations, "somewhere", now)
            .await
            .unwrap()
        {
            used += 1;
        }
        assert_eq!(used, 20);
        assert!(
            ALLOWANCE
                .count_if_left(operations, "elsewhere", now)
                .await
                .unwrap()
        );
        let later = now + 1_000_000;
        assert!(
            ALLOWANCE
                .count_if_left(operations, "somewhere", later)
                .await
                .unwrap()
        );
        assert!(
            !ALLOWANCE
                .count_if_left(operations, "somewhere", later)
                .await
                .unwrap()
        );
        // Where a clock is years behind, the time of the database counts.
        let mut used = 0;
        while ALLOWANCE
            .count_if_left(operations, "somewhere", DAY)
            .await
            .unwrap()
        {
            used += 1;
        }
        assert!((20..=40).contains(&used), "{used}");
    }

    #[tokio::test]
    async fn the_tables_are_bounded_and_allowances_have_an_end() {
        let directory = tempfile::tempdir().unwrap();
        let url = Database::file_url(&directory.path().join("operations.db"));
        let operations = Database::open(&url, Schema::Operations, 2).await.unwrap();
        allowances_have_an_end(&operations).await;
        operations
            .execute("DELETE FROM address_allowances", &[])
            .await
            .unwrap();
        is_bounded(operations).await;
    }

    #[tokio::test]
    async fn the_tables_are_bounded_in_postgres() {
        let server = TestDatabase::create().await;
        let operations = Database::open(server.url().as_str(), Schema::Operations, 2)
            .await
            .unwrap();
        allowances_have_an_end(&operations).await;
        operations
            .execute("DELETE FROM address_allowances", &[])
            .await
            .unwrap();
        is_bounded(operations).await;
    }
}

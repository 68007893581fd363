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
            .delete("address_allowances", "key", "WHERE full_at < $2 ORDER BY full_at", Some(now), u64::MAX)
            .await?;
        for (table, key, order) in TABLES {
            let sql = format!("SELECT count(*) AS rows FROM {table}");
            let rows = self.operations.number(&sql, &[]).await?;
            let surplus = rows.saturating_sub(most_rows);
            if surplus > 0 {
                tracing::warn!(table, rows, "there are more counters of failed logins than are kept");
                deleted += self.delete(table, key, &format!("ORDER BY {order}"), None, surplus).await?;
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
    use events::Timestamp;
    use test_support::{Footing, TestClock, TestStorage, on_both_footings};

    use super::*;
    use crate::throttle::failures_by_address::Allowance;

    async fn count(throttle: &Throttle, table: &str) -> u64 {
        let sql = format!("SELECT count(*) AS rows FROM {table}");
        throttle.operations.number(&sql, &[]).await.unwrap()
    }

    async fn the_tables_are_bounded(footing: Footing) {
        let storage = TestStorage::new(footing).await;
        let clock = Arc::new(TestClock::standing_at(Timestamp::from_micros(1_000 * DAY)));
        let throttle = Throttle::new(storage.operations().await, Arc::clone(&clock) as _);
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
        let least = throttle.operations.number(least, &[]).await.unwrap();
        assert_eq!(least, 40, "what says least goes first");
        let least = "SELECT min(days) AS least FROM familiar_addresses";
        let least = throttle.operations.number(least, &[]).await.unwrap();
        assert_eq!(least, 2, "also when it was used last");

        clock.advance(91 * 24 * 3_600);
        throttle.tidy(10).await.unwrap();
        assert_eq!(count(&throttle, "familiar_addresses").await, 0);
        assert_eq!(count(&throttle, "address_allowances").await, 0);
        let left = count(&throttle, "authentication_failures").await;
        assert_eq!(left, 5, "an account that needs a reset needs it for ever");
    }

    async fn allowances_have_an_end(footing: Footing) {
        const ALLOWANCE: Allowance = Allowance { prefix: "tests-", micros_for_one: 1_000_000, burst: 20 };
        let storage = TestStorage::new(footing).await;
        let operations = storage.operations().await;
        let is_left = async |address: &str, now: i64| {
            let counted = ALLOWANCE.count_if_left(&operations, address, now);
            counted.await.unwrap()
        };
        let now = 1_000 * DAY;
        let mut used = 0;
        while is_left("somewhere", now).await {
            used += 1;
        }
        assert_eq!(used, 20);
        assert!(is_left("elsewhere", now).await);
        let later = now + 1_000_000;
        assert!(is_left("somewhere", later).await);
        assert!(!is_left("somewhere", later).await);
        // Where a clock is years behind, the time of the database counts.
        let mut used = 0;
        while is_left("somewhere", DAY).await {
            used += 1;
        }
        assert!((20..=40).contains(&used), "{used}");
    }

    on_both_footings!(the_tables_are_bounded, allowances_have_an_end);
}

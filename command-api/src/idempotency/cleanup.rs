//! Deletes keys that are older than the contract promises to keep them, by the database's clock.

use std::time::Duration;

use database::{Database, DatabaseError, Dialect};

use super::statements::micros;

/// The contract says at least 24 hours.
const KEEP: Duration = Duration::from_secs(36 * 3_600);
/// The most rows that one statement deletes, so that nobody waits long for a lock.
const ROWS: u64 = 1_000;

/// Deletes the keys that are older than 36 hours and returns how many were deleted.
///
/// # Errors
/// When the database fails.
pub async fn clean_up(operations: &Database) -> Result<u64, DatabaseError> {
    let sql = format!(
        "DELETE FROM idempotency_keys WHERE (owner, key) IN \
         (SELECT owner, key FROM idempotency_keys WHERE created_at < {} - $1 ORDER BY created_at LIMIT $2)",
        Dialect::of(operations).now()
    );
    let mut total = 0;
    loop {
        let deleted = operations
            .execute(&sql, &[micros(KEEP).into(), ROWS.into()])
            .await?;
        total += deleted;
        if deleted < ROWS {
            return Ok(total);
        }
    }
}

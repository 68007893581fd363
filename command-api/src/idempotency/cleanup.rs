//! Deletes keys that are older than the contract promises to keep them, by the database's clock.

use std::time::Duration;

use database::{Database, DatabaseError, Dialect};

use super::statements::micros;

/// The contract says at least 24 hours.
const KEEP: Duration = Duration::from_secs(36 * 3_600);

/// Deletes the keys that are older than 36 hours and returns how many were deleted.
pub async fn clean_up(operations: &Database) -> Result<u64, DatabaseError> {
    let sql = format!(
        "DELETE FROM idempotency_keys WHERE (owner, key) IN \
         (SELECT owner, key FROM idempotency_keys WHERE created_at < {} - $2 ORDER BY created_at LIMIT $1)",
        Dialect::of(operations).now()
    );
    operations.delete_in_batches(&sql, &[micros(KEEP).into()], u64::MAX).await
}

//! Forgets keys that are older than the contract promises to keep them.

use std::{sync::Arc, time::Duration};

use database::{Database, DatabaseError};
use service::Clock;
use tokio_util::sync::CancellationToken;

/// The contract says at least 24 hours.
const KEEP_SECONDS: i64 = 36 * 3_600;
const EVERY: Duration = Duration::from_secs(3_600);
/// Rows deleted at once, so that nobody waits long for a lock.
const ROWS: u64 = 1_000;

/// Deletes old keys once an hour, until `stop` is cancelled.
pub async fn clean_up(operations: Database, clock: Arc<dyn Clock>, stop: CancellationToken) {
    loop {
        match delete_old(&operations, &*clock).await {
            Ok(0) => {}
            Ok(deleted) => tracing::info!(deleted, "forgot old idempotency keys"),
            Err(error) => {
                tracing::warn!(%error, "cannot forget old idempotency keys, trying again in an hour")
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// Deletes the keys that are older than 36 hours and returns how many there were.
///
/// # Errors
/// When the database fails.
pub(crate) async fn delete_old(operations: &Database, clock: &dyn Clock) -> Result<u64, DatabaseError> {
    let before = clock.now().plus_seconds(-KEEP_SECONDS);
    let mut total = 0;
    loop {
        let deleted = operations
            .execute(
                "DELETE FROM idempotency_keys WHERE (owner, key) IN \
                 (SELECT owner, key FROM idempotency_keys WHERE created_at < $1 ORDER BY created_at LIMIT $2)",
                &[before.as_micros().into(), ROWS.into()],
            )
            .await?;
        total += deleted;
        if deleted < ROWS {
            return Ok(total);
        }
    }
}

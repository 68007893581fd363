//! After the log was restored: whether the relay's progress is a place of the log that is there.

use database::{Database, DatabaseError};
use event_store::{EventStore, StoreError, agrees};
use events::{EventId, LogPoint};

/// Why a comparison came to no result.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The roles' records cannot be used.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The log cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Up to where the relay has published, as far as that is not a place of the log: by number of partitions.
///
/// # Errors
/// When the records or the log cannot be read.
pub async fn foreign_relay_progress(
    store: &dyn EventStore,
    operations: &Database,
) -> Result<Vec<(u64, LogPoint)>, RestoreError> {
    let rows = operations
        .fetch_all(
            "SELECT DISTINCT partitions, read_up_to, event_id FROM relay_progress ORDER BY partitions",
            &[],
        )
        .await?;
    let mut progress = Vec::with_capacity(rows.len());
    for row in rows {
        let point = LogPoint {
            position: row.unsigned("read_up_to")?,
            id: row.optional_uuid("event_id")?.map(EventId),
        };
        progress.push((row.unsigned("partitions")?, point));
    }
    let points: Vec<LogPoint> = progress.iter().map(|(_, point)| *point).collect();
    let agree = agrees(store, &points).await?;
    Ok(progress
        .into_iter()
        .zip(agree)
        .filter_map(|(progress, agrees)| (!agrees).then_some(progress))
        .collect())
}

/// Forgets the relay's progress for so many partitions. It then goes on at the end of the log.
///
/// # Errors
/// When that is not possible.
pub async fn forget_relay_progress(operations: &Database, partitions: u64) -> Result<(), DatabaseError> {
    operations
        .execute(
            "DELETE FROM relay_progress WHERE partitions = $1",
            &[partitions.into()],
        )
        .await?;
    Ok(())
}

//! After the log was restored: checks whether it has the place up to which the relay has published.

use database::{Database, DatabaseError, readable};
use event_store::{EventStore, agrees};
use events::LogPoint;

use crate::progress::read_up_to;

/// The progress that the log does not have, with the number of partitions that it was saved for.
///
/// # Errors
/// When the progress or the log cannot be read.
pub async fn foreign_relay_progress(
    store: &dyn EventStore,
    operations: &Database,
) -> anyhow::Result<Vec<(u64, LogPoint)>> {
    let rows = operations
        .fetch_all(
            "SELECT DISTINCT partitions, read_up_to, event_id FROM relay_progress ORDER BY partitions",
            &[],
        )
        .await?;
    let progress = readable("relay_progress", "partitions", &rows, |row| {
        Ok((row.unsigned("partitions")?, read_up_to(row)?))
    });
    let points: Vec<LogPoint> = progress.iter().map(|(_, point)| *point).collect();
    let agree = agrees(store, &points).await?;
    Ok(progress
        .into_iter()
        .zip(agree)
        .filter_map(|(progress, agrees)| (!agrees).then_some(progress))
        .collect())
}

/// Whether events of a log were published.
///
/// # Errors
/// When the progress cannot be read.
pub async fn has_published(operations: &Database) -> Result<bool, DatabaseError> {
    let sql = "SELECT read_up_to FROM relay_progress WHERE read_up_to > 0 LIMIT 1";
    Ok(operations.fetch_optional(sql, &[]).await?.is_some())
}

/// Deletes the progress for this number of partitions. The relay then resumes at the end of the log.
///
/// # Errors
/// When the database does not answer.
pub async fn forget_relay_progress(operations: &Database, partitions: u64) -> Result<(), DatabaseError> {
    operations.execute("DELETE FROM relay_progress WHERE partitions = $1", &[partitions.into()]).await?;
    Ok(())
}

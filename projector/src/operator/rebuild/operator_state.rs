//! Copies facts that the log does not have from the live tables to the new ones: discarded events, and the numbers of
//! partitions.

use std::collections::BTreeSet;

use database::Database;
use event_store::EventStore;
use events::{LogPoint, StreamName};

use super::RebuildError;
use crate::{operator::parking, projecting::checkpoint};

/// Discards in `next` the events that an operator has discarded.
pub(super) async fn discarded(
    live: &Database,
    next: &Database,
    store: &dyn EventStore,
) -> Result<(), RebuildError> {
    let reached = checkpoint::completed(next).await?;
    let known = positions(next, "discarded_events").await?;
    let parked = positions(next, "parked_events").await?;
    let erased = next.fetch_all("SELECT subject FROM erased_subjects", &[]).await?;
    let mut gone = BTreeSet::new();
    for row in erased {
        gone.insert(row.uuid("subject")?);
    }
    for row in live
        .fetch_all(
            "SELECT position, stream, version, type, subject, reason FROM discarded_events ORDER BY position",
            &[],
        )
        .await?
    {
        let position = row.unsigned("position")?;
        if known.contains(&position) {
            continue;
        }
        if parked.contains(&position) {
            parking::discard(next, position).await?;
            let stream = StreamName::raw(row.text("stream")?);
            match parking::retry(store, next, &stream).await {
                Ok(_) | Err(parking::ParkingError::StreamNotParked(_)) => {}
                Err(error) => return Err(error.into()),
            }
        } else if position > reached || gone.contains(&row.uuid("subject")?) {
            let mut tx = next.begin().await?;
            parking::give_up_on(&mut tx, &row).await?;
            tx.commit().await?;
        } else {
            return Err(RebuildError::Discarded(position));
        }
    }
    Ok(())
}

/// Copies the numbers of attempts of parked events to `next`.
pub(super) async fn attempts(live: &Database, next: &Database) -> Result<(), RebuildError> {
    for row in live
        .fetch_all(
            "SELECT position, attempts FROM parked_events WHERE attempts > 1",
            &[],
        )
        .await?
    {
        next.execute(
            "UPDATE parked_events SET attempts = $1 WHERE position = $2 AND attempts < $1",
            &[row.integer("attempts")?.into(), row.integer("position")?.into()],
        )
        .await?;
    }
    Ok(())
}

/// Writes every checkpoint of the live tables to `next`, which is complete up to `reached`, so that each projector
/// finds its own.
pub(super) async fn checkpoints(
    live: &Database,
    next: &Database,
    reached: LogPoint,
) -> Result<(), RebuildError> {
    let rows = live
        .fetch_all("SELECT partitions, partition FROM checkpoints", &[])
        .await?;
    let mut tx = next.begin().await?;
    for row in rows {
        let (partitions, partition) = (row.integer("partitions")?, row.integer("partition")?);
        checkpoint::raise(&mut tx, partitions, partition, reached).await?;
    }
    Ok(tx.commit().await?)
}

/// The furthest checkpoint.
pub(super) async fn furthest(read_models: &Database) -> Result<u64, RebuildError> {
    let row = read_models
        .fetch_optional(
            "SELECT COALESCE(MAX(position), 0) AS position FROM checkpoints",
            &[],
        )
        .await?;
    Ok(row.map_or(Ok(0), |row| row.unsigned("position"))?)
}

async fn positions(read_models: &Database, table: &str) -> Result<BTreeSet<u64>, RebuildError> {
    let rows = read_models
        .fetch_all(&format!("SELECT position FROM {table}"), &[])
        .await?;
    let mut positions = BTreeSet::new();
    for row in rows {
        positions.insert(row.unsigned("position")?);
    }
    Ok(positions)
}

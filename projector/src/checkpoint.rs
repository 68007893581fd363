//! How far each partition has been projected, and the fence that keeps two projectors from doing the same twice.

use database::{Database, DatabaseError, Transaction};
use events::PartitionCount;

/// Where everyone who waits for the projection hears of it; the payload is
/// `<partitions> <partition> <position>`.
const CHANNEL: &str = "taskledger_checkpoints";

/// A checkpoint on its way forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Move {
    pub(crate) partition: u16,
    pub(crate) from: u64,
    pub(crate) to: u64,
}

/// The checkpoints of all partitions, by partition. Those that are missing or behind what a projection into
/// another number of partitions has completed begin there: rows are guarded by their versions, so it does not
/// matter who wrote them.
pub(crate) async fn load_all(
    read_models: &Database,
    partitions: PartitionCount,
) -> Result<Vec<u64>, DatabaseError> {
    let known = positions(read_models, partitions).await?;
    let floor = completed(read_models).await?;
    if known.len() == usize::from(partitions.get()) && known.iter().all(|position| *position >= floor) {
        return Ok(known);
    }
    let mut tx = read_models.begin().await?;
    for partition in partitions.iter() {
        tx.execute(
            "INSERT INTO checkpoints (partitions, partition, position) VALUES ($1, $2, $3)
             ON CONFLICT (partitions, partition) DO UPDATE SET position = excluded.position
             WHERE excluded.position > checkpoints.position",
            &[partitions.get().into(), partition.into(), floor.into()],
        )
        .await?;
    }
    tx.commit().await?;
    positions(read_models, partitions).await
}

/// The checkpoint of one partition.
pub(crate) async fn load(
    read_models: &Database,
    partitions: PartitionCount,
    partition: u16,
) -> Result<u64, DatabaseError> {
    let row = read_models
        .fetch_optional(
            "SELECT position FROM checkpoints WHERE partitions = $1 AND partition = $2",
            &[partitions.get().into(), partition.into()],
        )
        .await?;
    match row {
        Some(row) => row.unsigned("position"),
        // Someone emptied the read models underneath: from the beginning, then.
        None => Ok(load_all(read_models, partitions)
            .await?
            .get(usize::from(partition))
            .copied()
            .unwrap_or(0)),
    }
}

/// Up to where the whole log has been projected, into whatever number of partitions.
pub(crate) async fn completed(read_models: &Database) -> Result<u64, DatabaseError> {
    let row = read_models
        .fetch_optional(
            "SELECT MAX(position) AS position FROM (
                 SELECT MIN(position) AS position FROM checkpoints GROUP BY partitions HAVING COUNT(*) = partitions
             ) AS complete",
            &[],
        )
        .await?;
    match row
        .map(|row| row.optional_integer("position"))
        .transpose()?
        .flatten()
    {
        Some(position) => u64::try_from(position)
            .map_err(|_| DatabaseError::Unexpected(format!("a checkpoint is at {position}"))),
        None => Ok(0),
    }
}

/// Moves the checkpoint, as the first statement of the transaction, so that a second projector of the partition
/// waits here. `false` when it is not where it was thought to be.
pub(crate) async fn advance(
    tx: &mut Transaction,
    partitions: PartitionCount,
    step: Move,
) -> Result<bool, DatabaseError> {
    let moved = tx
        .execute(
            "UPDATE checkpoints SET position = $1 WHERE partitions = $2 AND partition = $3 AND position = $4",
            &[
                step.to.into(),
                partitions.get().into(),
                step.partition.into(),
                step.from.into(),
            ],
        )
        .await?;
    Ok(moved == 1)
}

/// Tells everyone who waits, if and when the transaction commits.
pub(crate) async fn signal(
    tx: &mut Transaction,
    partitions: PartitionCount,
    step: Move,
) -> Result<(), DatabaseError> {
    tx.signal(
        CHANNEL,
        format!("{} {} {}", partitions.get(), step.partition, step.to),
    )
    .await
}

/// Holds up every projector until the transaction ends. In the order in which they lock, so that nobody waits
/// for each other.
pub(crate) async fn lock_all(tx: &mut Transaction) -> Result<(), DatabaseError> {
    let rows = tx
        .fetch_all(
            "SELECT partitions, partition FROM checkpoints ORDER BY partitions, partition",
            &[],
        )
        .await?;
    for row in rows {
        tx.execute(
            "UPDATE checkpoints SET position = position WHERE partitions = $1 AND partition = $2",
            &[
                row.integer("partitions")?.into(),
                row.integer("partition")?.into(),
            ],
        )
        .await?;
    }
    Ok(())
}

async fn positions(read_models: &Database, partitions: PartitionCount) -> Result<Vec<u64>, DatabaseError> {
    let rows = read_models
        .fetch_all(
            "SELECT position FROM checkpoints WHERE partitions = $1 ORDER BY partition",
            &[partitions.get().into()],
        )
        .await?;
    rows.iter().map(|row| row.unsigned("position")).collect()
}

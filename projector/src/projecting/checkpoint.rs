//! How far each partition has been projected, and the fence that keeps two projectors from doing the same twice.

use database::{Database, DatabaseError, Transaction, Value};
use events::{LogPoint, PartitionCount};
use read_models::{CHECKPOINT_CHANNEL, Step, log_point};

/// A checkpoint on its way forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CheckpointMove {
    pub(crate) partition: u16,
    pub(crate) from: u64,
    pub(crate) to: LogPoint,
}

/// The checkpoints of all partitions, by partition. Those that are missing or behind what a projection into
/// another number of partitions has completed begin there: rows are guarded by their versions, so it does not
/// matter who wrote them.
pub(crate) async fn load_all(
    read_models: &Database,
    partitions: PartitionCount,
) -> Result<Vec<LogPoint>, DatabaseError> {
    let known = points(read_models, partitions).await?;
    let floor = completed_point(read_models).await?;
    let behind = |point: &LogPoint| point.position < floor.position;
    if known.len() == usize::from(partitions.get()) && !known.iter().any(behind) {
        return Ok(known);
    }
    let mut tx = read_models.begin().await?;
    for partition in partitions.iter() {
        raise(&mut tx, partitions.get(), partition, floor).await?;
    }
    tx.commit().await?;
    points(read_models, partitions).await
}

/// Moves the checkpoint of a partition up to `floor`, unless it is there or beyond already.
pub(crate) async fn raise(
    tx: &mut Transaction,
    partitions: impl Into<Value>,
    partition: impl Into<Value>,
    floor: LogPoint,
) -> Result<(), DatabaseError> {
    let sql = "INSERT INTO checkpoints (partitions, partition, position, event_id) VALUES ($1, $2, $3, $4)
               ON CONFLICT (partitions, partition)
               DO UPDATE SET position = excluded.position, event_id = excluded.event_id
               WHERE excluded.position > checkpoints.position";
    let values = [
        partitions.into(),
        partition.into(),
        floor.position.into(),
        floor.id.map(|id| id.0).into(),
    ];
    tx.execute(sql, &values).await.map(drop)
}

/// The checkpoint of one partition.
pub(crate) async fn load(
    read_models: &Database,
    partitions: PartitionCount,
    partition: u16,
) -> Result<LogPoint, DatabaseError> {
    let row = read_models
        .fetch_optional(
            "SELECT position, event_id FROM checkpoints WHERE partitions = $1 AND partition = $2",
            &[partitions.get().into(), partition.into()],
        )
        .await?;
    match row {
        Some(row) => log_point(&row),
        // Someone emptied the read models underneath: from the beginning, then.
        None => Ok(load_all(read_models, partitions)
            .await?
            .get(usize::from(partition))
            .copied()
            .unwrap_or(LogPoint::START)),
    }
}

/// Up to where the whole log has been projected, into whatever number of partitions.
///
/// # Errors
/// When the read models cannot be read.
pub async fn completed(read_models: &Database) -> Result<u64, DatabaseError> {
    Ok(completed_point(read_models).await?.position)
}

/// As [`completed`], with the event there.
pub(crate) async fn completed_point(read_models: &Database) -> Result<LogPoint, DatabaseError> {
    let row = read_models
        .fetch_optional(
            "SELECT position, event_id FROM checkpoints WHERE position = (
                 SELECT MAX(position) FROM (
                     SELECT MIN(position) AS position FROM checkpoints
                     GROUP BY partitions HAVING COUNT(*) = partitions
                 ) AS complete
             ) ORDER BY event_id IS NULL LIMIT 1",
            &[],
        )
        .await?;
    row.as_ref().map_or(Ok(LogPoint::START), log_point)
}

/// Moves the checkpoint, as the first statement of the transaction, so that a second projector of the partition
/// waits here. `false` when it is not where it was thought to be.
pub(crate) async fn advance(
    tx: &mut Transaction,
    partitions: PartitionCount,
    step: CheckpointMove,
) -> Result<bool, DatabaseError> {
    let moved = tx
        .execute(
            "UPDATE checkpoints SET position = $1, event_id = $5
             WHERE partitions = $2 AND partition = $3 AND position = $4",
            &[
                step.to.position.into(),
                partitions.get().into(),
                step.partition.into(),
                step.from.into(),
                step.to.id.map(|id| id.0).into(),
            ],
        )
        .await?;
    Ok(moved == 1)
}

/// Moves the checkpoints of `idle`, of which no events lie between where they are and `to`. Leaves those alone that
/// somebody is at work on or has moved. Returns which were moved; nobody waits for them, so nobody is told.
pub(crate) async fn bring(
    read_models: &Database,
    partitions: PartitionCount,
    idle: &[(u16, u64)],
    to: LogPoint,
) -> Result<Vec<u16>, DatabaseError> {
    const POSTGRES: &str = "UPDATE checkpoints SET position = $1, event_id = $2
        WHERE partitions = $3 AND (partition, position) IN (
            SELECT c.partition, c.position FROM checkpoints c
            JOIN json_to_recordset(CAST(CAST($4 AS TEXT) AS JSON)) AS known (partition BIGINT, position BIGINT)
                ON c.partition = known.partition AND c.position = known.position
            WHERE c.partitions = $3 FOR UPDATE OF c SKIP LOCKED
        ) RETURNING partition";
    const SQLITE: &str = "UPDATE checkpoints SET position = $1, event_id = $2
        WHERE partitions = $3 AND (partition, position) IN (
            SELECT json_extract(value, '$.partition'), json_extract(value, '$.position') FROM json_each($4)
        ) RETURNING partition";
    if idle.is_empty() {
        return Ok(Vec::new());
    }
    let known: Vec<_> = idle
        .iter()
        .map(|(partition, position)| serde_json::json!({"partition": partition, "position": position}))
        .collect();
    let values = [
        to.position.into(),
        to.id.map(|id| id.0).into(),
        partitions.get().into(),
        serde_json::Value::from(known).to_string().into(),
    ];
    let sql = if read_models.is_postgres() {
        POSTGRES
    } else {
        SQLITE
    };
    let mut tx = read_models.begin().await?;
    let moved = tx.fetch_all(sql, &values).await?;
    tx.commit().await?;
    moved
        .iter()
        .map(|row| {
            u16::try_from(row.unsigned("partition")?)
                .map_err(|_| DatabaseError::Unexpected("a checkpoint is of no partition".to_owned()))
        })
        .collect()
}

/// Tells everyone who waits, if and when the transaction has committed. The last word of a partition is enough.
pub(crate) fn signal(tx: &mut Transaction, partitions: PartitionCount, step: CheckpointMove) {
    let step = Step {
        partitions: partitions.get(),
        partition: step.partition,
        position: step.to.position,
    };
    tx.signal(CHECKPOINT_CHANNEL, step.key(), step.to_string());
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

async fn points(database: &Database, partitions: PartitionCount) -> Result<Vec<LogPoint>, DatabaseError> {
    let points = read_models::checkpoints(database, partitions).await?;
    Ok(points.into_iter().map(|(_, point)| point).collect())
}

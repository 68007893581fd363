//! The checkpoints of partitions, and the fence that prevents two projectors from applying the same events.

use database::{Database, DatabaseError, Transaction, Value, left_out};
use events::{LogPoint, PartitionCount, UserId};
use read_models::{CHECKPOINT_CHANNEL, CHECKPOINTS, Step, checkpoints_of, log_point};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CheckpointMove {
    pub(crate) partition: u16,
    pub(crate) from: u64,
    pub(crate) to: LogPoint,
}

/// The checkpoints of all partitions, by partition. A checkpoint that is missing or cannot be read, or is behind what a
/// projection with another number of partitions has completed, starts at that position. Applying an event twice does no
/// harm, because rows are guarded by their versions.
pub(crate) async fn load_all(
    read_models: &Database,
    partitions: PartitionCount,
) -> Result<Vec<LogPoint>, DatabaseError> {
    let (known, rows) = points(read_models, partitions).await?;
    let floor = completed_point(read_models).await?;
    let behind = |point: &Option<LogPoint>| point.is_none_or(|point| point.position < floor.position);
    if rows == known.len() && !known.iter().any(behind) {
        return Ok(known.into_iter().flatten().collect());
    }
    let mut tx = read_models.begin().await?;
    let strange = "DELETE FROM checkpoints WHERE partitions = $1 AND (partition < 0 OR partition >= $1)";
    tx.execute(strange, &[partitions.get().into()]).await?;
    for (partition, known) in partitions.iter().zip(known) {
        // In SQLite it may be no number, with which the floor cannot be compared. No other process writes there.
        if known.is_none() && !tx.is_postgres() {
            let unreadable = "DELETE FROM checkpoints WHERE partitions = $1 AND partition = $2";
            tx.execute(unreadable, &[partitions.get().into(), partition.into()]).await?;
        }
        raise(&mut tx, partitions.get(), partition, floor).await?;
    }
    tx.commit().await?;
    let (known, _) = points(read_models, partitions).await?;
    Ok(known.into_iter().map(Option::unwrap_or_default).collect())
}

/// Moves the checkpoint of a partition up to `floor`, unless it is at least there.
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
    let values = [partitions.into(), partition.into(), floor.position.into(), floor.id.map(|id| id.0).into()];
    tx.execute(sql, &values).await.map(drop)
}

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
    match row.as_ref().map(log_point) {
        Some(Ok(point)) => Ok(point),
        // The read models were emptied, or the row is damaged, so it begins from the start.
        Some(Err(_)) | None => Ok(load_all(read_models, partitions)
            .await?
            .get(usize::from(partition))
            .copied()
            .unwrap_or(LogPoint::START)),
    }
}

/// The position up to which the whole log is projected, with any number of partitions.
pub async fn completed(read_models: &Database) -> Result<u64, DatabaseError> {
    Ok(completed_point(read_models).await?.position)
}

/// Like [`completed`], with the event at that position.
pub(crate) async fn completed_point(read_models: &Database) -> Result<LogPoint, DatabaseError> {
    // In SQLite a position may be a text, which is greater than every number: whatever has one is not complete.
    let row = read_models
        .fetch_optional(
            "SELECT position, event_id FROM checkpoints WHERE position = (
                 SELECT MAX(position) FROM (
                     SELECT MIN(position) AS position FROM checkpoints
                     WHERE partition >= 0 AND partition < partitions AND position <= 9223372036854775807
                     GROUP BY partitions HAVING COUNT(*) = partitions
                 ) AS complete
             ) ORDER BY event_id IS NULL LIMIT 1",
            &[],
        )
        .await?;
    let known = row.and_then(|row| left_out("checkpoints", "position", &row, log_point(&row)));
    Ok(known.unwrap_or(LogPoint::START))
}

/// Moves the checkpoint, in the first statement of the transaction, so that another projector of the partition waits
/// here. Returns `false` when it is not at the expected position.
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

/// Moves the checkpoints of the `idle` partitions, which have no events up to `to`. Skips those that are locked or
/// were moved by others. Returns the moved ones. No signal is sent, because nobody waits for these.
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
    let sql = if read_models.is_postgres() { POSTGRES } else { SQLITE };
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

/// Sends a signal to waiting readers once the transaction has committed. Only the last signal of a partition matters.
pub(crate) fn signal(tx: &mut Transaction, partitions: PartitionCount, step: CheckpointMove) {
    let step = Step { partitions: partitions.get(), partition: step.partition, position: step.to.position };
    tx.signal(CHECKPOINT_CHANNEL, step.key(), step.to_string());
}

/// Blocks all projectors of events about `subject`, with any number of partitions, until the transaction ends. Locks in
/// the same order as they do, so that there are no deadlocks.
pub(crate) async fn lock(tx: &mut Transaction, subject: UserId) -> Result<(), DatabaseError> {
    let rows = tx
        .fetch_all("SELECT partitions, partition FROM checkpoints ORDER BY partitions, partition", &[])
        .await?;
    for row in rows {
        let (partitions, partition) = (row.integer("partitions")?, row.integer("partition")?);
        let count = u16::try_from(partitions).ok().and_then(PartitionCount::new);
        if count.is_some_and(|count| i64::from(count.of(subject)) == partition) {
            tx.execute(
                "UPDATE checkpoints SET position = position WHERE partitions = $1 AND partition = $2",
                &[partitions.into(), partition.into()],
            )
            .await?;
        }
    }
    Ok(())
}

/// The checkpoints by partition, where they can be read, and the number of rows.
async fn points(
    database: &Database,
    partitions: PartitionCount,
) -> Result<(Vec<Option<LogPoint>>, usize), DatabaseError> {
    let rows = database.fetch_all(CHECKPOINTS, &[partitions.get().into()]).await?;
    let mut points = vec![None; usize::from(partitions.get())];
    for (partition, point) in checkpoints_of(&rows, partitions) {
        points[usize::from(partition)] = Some(point);
    }
    Ok((points, rows.len()))
}

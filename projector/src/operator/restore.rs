//! After the log was restored: checks whether the read models come from it, and empties them if not, so that they are
//! projected from the beginning.

use database::{Database, DatabaseError, StatementTimeout, Transaction, readable};
use event_store::{EventStore, agrees};
use events::LogPoint;
use read_models::log_point;

use crate::operator::{
    locking::{begin_with_locks, lock_all},
    verify::VerifyError,
};

/// The table of operators' decisions, which is not projected, and so is kept.
const KEPT: &str = "discarded_events";

/// A checkpoint that names an event which the log does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForeignCheckpoint {
    pub partitions: u64,
    pub partition: u64,
    /// The point up to which the partition was projected, in the other history of the log.
    pub point: LogPoint,
}

/// The checkpoints, of any number of partitions, that do not come from the log.
pub async fn foreign_checkpoints(
    store: &dyn EventStore,
    read_models: &Database,
) -> Result<Vec<ForeignCheckpoint>, VerifyError> {
    let rows = read_models
        .fetch_all(
            "SELECT partitions, partition, position, event_id FROM checkpoints ORDER BY partitions, partition",
            &[],
        )
        .await?;
    let checkpoints = readable("checkpoints", "partition", &rows, |row| {
        Ok(ForeignCheckpoint {
            partitions: row.unsigned("partitions")?,
            partition: row.unsigned("partition")?,
            point: log_point(row)?,
        })
    });
    let points: Vec<LogPoint> = checkpoints.iter().map(|checkpoint| checkpoint.point).collect();
    let agree = agrees(store, &points).await?;
    Ok(checkpoints
        .into_iter()
        .zip(agree)
        .filter_map(|(checkpoint, agrees)| (!agrees).then_some(checkpoint))
        .collect())
}

/// Whether any partition, of any number of them, was projected from a log with events.
pub async fn has_projected(read_models: &Database) -> Result<bool, DatabaseError> {
    let sql = "SELECT position FROM checkpoints WHERE position > 0 LIMIT 1";
    Ok(read_models.fetch_optional(sql, &[]).await?.is_some())
}

/// The positions of discarded events that the log does not have.
pub async fn foreign_discards(
    store: &dyn EventStore,
    read_models: &Database,
) -> Result<Vec<u64>, VerifyError> {
    let rows = read_models
        .fetch_all("SELECT position, stream, version FROM discarded_events ORDER BY position", &[])
        .await?;
    let discards = readable("discarded_events", "position", &rows, |row| {
        Ok((row.unsigned("position")?, row.text("stream")?, row.unsigned("version")?))
    });
    let mut foreign = Vec::new();
    for (position, stream, version) in discards {
        let found = store.record_at(position).await?;
        let is_there = found.is_some_and(|entry| match entry {
            Ok(event) => event.stream.as_str() == stream && event.version == version,
            Err(unreadable) => unreadable.stream.as_str() == stream && unreadable.version == version,
        });
        if !is_there {
            foreign.push(position);
        }
    }
    Ok(foreign)
}

/// Empties the read models in one transaction, so that the projectors begin with the first event, and deletes the
/// records of these `discards`.
///
/// # Errors
/// When it fails; then nothing has changed.
pub async fn empty(read_models: &Database, discards: &[u64]) -> Result<(), DatabaseError> {
    // SQLite overwrites every row.
    let read_models = read_models.with_statement_timeout(StatementTimeout::Maintenance);
    let mut tx = begin_with_locks(&read_models, |tx| Box::pin(delete_all(tx))).await?;
    for position in discards {
        tx.execute("DELETE FROM discarded_events WHERE position = $1", &[(*position).into()]).await?;
    }
    tx.commit().await
}

async fn delete_all(tx: &mut Transaction) -> Result<(), DatabaseError> {
    let tables = tables(tx).await?;
    if tx.is_postgres() {
        lock_all(tx).await?;
        // Its cost does not depend on the number of rows, but it waits for readers of the tables.
        let sql = format!("TRUNCATE {}", tables.join(", "));
        return tx.execute(&sql, &[]).await.map(drop);
    }
    for table in tables {
        tx.execute(&format!("DELETE FROM {table}"), &[]).await?;
    }
    Ok(())
}

/// The tables that are projected.
async fn tables(tx: &mut Transaction) -> Result<Vec<String>, DatabaseError> {
    let sql = if tx.is_postgres() {
        "SELECT tablename::text AS name FROM pg_tables WHERE schemaname = current_schema()"
    } else {
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
    };
    let mut tables = Vec::new();
    for row in tx.fetch_all(sql, &[]).await? {
        let name = row.text("name")?;
        if name != KEPT && !name.starts_with("_sqlx") {
            tables.push(name);
        }
    }
    Ok(tables)
}

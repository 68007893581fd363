//! The status for operators: the tables and the checkpoints.

use database::{Database, DatabaseError, StatementTimeout, readable};
use event_store::EventStore;
use events::{PartitionCount, UserId};

use crate::{
    models::{ListedModel as _, Model as _, for_each_model},
    operator::verify::VerifyError,
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableStatus {
    pub name: &'static str,
    pub about: &'static str,
    pub rows: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The last position of the log.
    pub head: u64,
    /// Every partition that has a checkpoint, in order.
    pub partitions: Vec<PartitionStatus>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionStatus {
    pub partition: u16,
    /// The position up to which it is projected.
    pub checkpoint: u64,
    /// The number of its parked events.
    pub parked: u64,
}

/// The tables that are not folded from one stream for each row.
const OTHER_TABLES: [(&str, &str); 7] = [
    ("task_history", "one row for each event of a task, with what it changed"),
    ("audit_log", "one row for each event of the log"),
    ("parked_events", "events that could not be projected"),
    ("discarded_events", "events that an operator gave up on"),
    ("erased_subjects", "people who were erased"),
    ("unfinished_erasures", "those of them whose rows are being deleted"),
    ("unfinished_purges", "purged tasks whose history is being deleted"),
];

impl Status {
    /// Positions between the checkpoint of `partition` and the head.
    pub const fn lag(&self, partition: &PartitionStatus) -> u64 {
        self.head.saturating_sub(partition.checkpoint)
    }
}

/// The tables and the number of their rows.
pub async fn tables(read_models: &Database) -> Result<Vec<TableStatus>, DatabaseError> {
    // Counting many rows takes minutes.
    let read_models = read_models.with_statement_timeout(StatementTimeout::Maintenance);
    let mut listed = Vec::new();
    for_each_model!(M => listed.push((M::TABLE.name, M::ABOUT)));
    listed.extend(OTHER_TABLES);
    let mut tables = Vec::with_capacity(listed.len());
    for (name, about) in listed {
        let sql = format!("SELECT COUNT(*) AS rows FROM {name}");
        let rows = read_models.number(&sql, &[]).await?;
        tables.push(TableStatus { name, about, rows });
    }
    Ok(tables)
}

/// The checkpoints of a projection with this number of partitions.
pub async fn status(
    store: &dyn EventStore,
    read_models: &Database,
    partitions: PartitionCount,
) -> Result<Status, VerifyError> {
    let checkpoints = read_models::checkpoints(read_models, partitions).await?;
    let parked = parked_by_partition(read_models, partitions).await?;
    let mut status = Status { head: 0, partitions: Vec::with_capacity(checkpoints.len()) };
    for (partition, point) in checkpoints {
        status.partitions.push(PartitionStatus {
            partition,
            checkpoint: point.position,
            parked: parked[usize::from(partition)],
        });
    }
    // Read last, so that no checkpoint is ahead of it.
    status.head = store.head().await?;
    Ok(status)
}

/// The number of parked events of each partition, read in parts: there may be millions.
async fn parked_by_partition(
    read_models: &Database,
    partitions: PartitionCount,
) -> Result<Vec<u64>, DatabaseError> {
    let sql = "SELECT position, subject FROM parked_events WHERE position > $1 ORDER BY position LIMIT 5000";
    let mut parked = vec![0; usize::from(partitions.get())];
    let mut after = 0;
    loop {
        let rows = read_models.fetch_all(sql, &[after.into()]).await?;
        let Some(last) = rows.last() else {
            return Ok(parked);
        };
        after = last.unsigned("position")?;
        for subject in readable("parked_events", "position", &rows, |row| row.uuid("subject")) {
            parked[usize::from(partitions.of(UserId(subject)))] += 1;
        }
    }
}

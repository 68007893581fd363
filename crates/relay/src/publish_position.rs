//! The relay's progress in SQL: how far the log is published, and the last position of each partition.

use database::{Database, DatabaseError};
use events::{EventId, LogPoint, PartitionCount};

use crate::partition_sequence::PartitionSequence;

/// The progress of the relay for one number of partitions.
#[derive(Debug, Clone)]
pub struct RelayProgress {
    operations: Database,
}

impl RelayProgress {
    /// Progress kept in `operations`.
    #[must_use]
    pub fn new(operations: Database) -> Self {
        Self { operations }
    }

    /// Where the relay went on last, if something was saved for this number of partitions. It may be a place of
    /// another history of the log.
    pub(crate) async fn load(
        &self,
        partitions: PartitionCount,
    ) -> Result<Option<PartitionSequence>, DatabaseError> {
        let rows = self
            .operations
            .fetch_all(
                "SELECT partition, position, read_up_to, event_id FROM relay_progress WHERE partitions = $1",
                &[partitions.get().into()],
            )
            .await?;
        if rows.len() != usize::from(partitions.get()) {
            return Ok(None);
        }
        let mut chain = PartitionSequence::after(partitions, LogPoint::START);
        for row in rows {
            let partition = row.unsigned("partition")?;
            let partition = u16::try_from(partition).map_err(|_| {
                DatabaseError::Unexpected(format!("relay_progress has a partition {partition}"))
            })?;
            let read_up_to = LogPoint {
                position: row.unsigned("read_up_to")?,
                id: row.optional_uuid("event_id")?.map(EventId),
            };
            chain.resume(partition, row.unsigned("position")?, read_up_to);
        }
        Ok(Some(chain))
    }

    /// Saves where to go on, which may be before where another went on: a log that was restored is shorter.
    pub(crate) async fn save(&self, chain: &PartitionSequence) -> Result<(), DatabaseError> {
        let mut transaction = self.operations.begin().await?;
        for (partition, position) in chain.positions() {
            transaction
                .execute(
                    "INSERT INTO relay_progress (partitions, partition, position, read_up_to, event_id) \
                     VALUES ($1, $2, $3, $4, $5) ON CONFLICT (partitions, partition) DO UPDATE \
                     SET position = excluded.position, read_up_to = excluded.read_up_to, \
                     event_id = excluded.event_id",
                    &[
                        chain.partitions().get().into(),
                        partition.into(),
                        position.into(),
                        chain.read_up_to().position.into(),
                        chain.read_up_to().id.map(|id| id.0).into(),
                    ],
                )
                .await?;
        }
        transaction.commit().await
    }
}

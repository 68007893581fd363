//! The relay's progress in SQL: how far the log is published, and the last position of each partition.

use database::{Database, DatabaseError};
use events::PartitionCount;

use super::chain::Chain;

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

    /// Where to go on; the very beginning when nothing was saved for this number of partitions.
    pub(super) async fn load(&self, partitions: PartitionCount) -> Result<Chain, DatabaseError> {
        let rows = self
            .operations
            .fetch_all(
                "SELECT partition, position, read_up_to FROM relay_progress WHERE partitions = $1",
                &[partitions.get().into()],
            )
            .await?;
        let mut chain = Chain::new(partitions);
        for row in rows {
            let partition = row.unsigned("partition")?;
            let partition = u16::try_from(partition).map_err(|_| {
                DatabaseError::Unexpected(format!("relay_progress has a partition {partition}"))
            })?;
            chain.resume(partition, row.unsigned("position")?, row.unsigned("read_up_to")?);
        }
        Ok(chain)
    }

    /// Saves where to go on, unless someone got further.
    pub(super) async fn save(&self, chain: &Chain) -> Result<(), DatabaseError> {
        let mut transaction = self.operations.begin().await?;
        for (partition, position) in chain.positions() {
            transaction
                .execute(
                    "INSERT INTO relay_progress (partitions, partition, position, read_up_to) \
                     VALUES ($1, $2, $3, $4) ON CONFLICT (partitions, partition) DO UPDATE \
                     SET position = excluded.position, read_up_to = excluded.read_up_to \
                     WHERE relay_progress.read_up_to < excluded.read_up_to",
                    &[
                        chain.partitions().get().into(),
                        partition.into(),
                        position.into(),
                        chain.read_up_to().into(),
                    ],
                )
                .await?;
        }
        transaction.commit().await
    }
}

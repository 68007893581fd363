//! How far a projection has come, for those who ask so seldom that they read the table each time.

use std::time::Duration;

use database::{Database, DatabaseError};
use events::{ConsistencyToken, PartitionCount};
use tokio::time::{Instant, sleep};

use crate::checkpoints;

/// How often the table is read while somebody waits.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The position up to which each partition has been projected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    partitions: PartitionCount,
    positions: Vec<u64>,
}

impl Progress {
    /// Reads how far the projection into `partitions` has come. A partition without a checkpoint is at the beginning.
    ///
    /// # Errors
    /// When the checkpoints cannot be read.
    pub async fn read(read_models: &Database, partitions: PartitionCount) -> Result<Self, DatabaseError> {
        let mut positions = vec![0; usize::from(partitions.get())];
        for (partition, point) in checkpoints(read_models, partitions).await? {
            if let Some(position) = positions.get_mut(usize::from(partition)) {
                *position = point.position;
            }
        }
        Ok(Self {
            partitions,
            positions,
        })
    }

    /// Reads it again and again until it shows everything that `tokens` name, for at most so long. Nothing if that does not
    /// come to be.
    ///
    /// # Errors
    /// When the checkpoints cannot be read.
    pub async fn reach(
        read_models: &Database,
        partitions: PartitionCount,
        tokens: &[ConsistencyToken],
        within: Duration,
    ) -> Result<Option<Self>, DatabaseError> {
        let deadline = Instant::now() + within;
        loop {
            let progress = Self::read(read_models, partitions).await?;
            if tokens.iter().all(|token| progress.shows(*token)) {
                return Ok(Some(progress));
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Whether everything that `token` names has been projected.
    #[must_use]
    pub fn shows(&self, token: ConsistencyToken) -> bool {
        let position = self.positions.get(usize::from(self.partitions.of_token(token)));
        position.is_some_and(|position| *position >= token.position)
    }

    /// Up to where the log has been projected in every partition.
    #[must_use]
    pub fn least(&self) -> u64 {
        self.positions.iter().copied().min().unwrap_or_default()
    }
}

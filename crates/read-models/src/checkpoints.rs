//! The checkpoints of partitions: the table `checkpoints` for readers, and the channel that announces changes.

use std::{fmt, str::FromStr};

use database::{Database, DatabaseError, Row, readable};
use events::{EventId, LogPoint, PartitionCount};

/// The channel on which the projector signals each [`Step`].
pub const CHECKPOINT_CHANNEL: &str = "taskledger_checkpoints";

/// A checkpoint was moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The number of partitions.
    pub partitions: u16,
    /// The partition, from 0.
    pub partition: u16,
    /// All of its events up to this position are projected.
    pub position: u64,
}

/// The payload of a signal is not `<partitions> <partition> <position>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected three numbers with a space between each")]
pub struct NotAStep;

impl Step {
    /// A later signal with the same key replaces an earlier one of the same transaction.
    pub fn key(&self) -> String {
        format!("{} {}", self.partitions, self.partition)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.partitions, self.partition, self.position)
    }
}

impl FromStr for Step {
    type Err = NotAStep;

    fn from_str(payload: &str) -> Result<Self, NotAStep> {
        let numbers: Vec<&str> = payload.split(' ').collect();
        let [partitions, partition, position] = numbers[..] else {
            return Err(NotAStep);
        };
        Ok(Self {
            partitions: partitions.parse().map_err(|_| NotAStep)?,
            partition: partition.parse().map_err(|_| NotAStep)?,
            position: position.parse().map_err(|_| NotAStep)?,
        })
    }
}

/// Reads the checkpoints of a projection with this number of partitions, in their order. A missing row means that
/// nothing was projected.
pub const CHECKPOINTS: &str =
    "SELECT partition, position, event_id FROM checkpoints WHERE partitions = $1 ORDER BY partition";

/// The partition and the checkpoint of a row of [`CHECKPOINTS`].
fn checkpoint_of(row: &Row, partitions: PartitionCount) -> Result<(u16, LogPoint), DatabaseError> {
    let partition = u16::try_from(row.unsigned("partition")?)
        .ok()
        .filter(|partition| *partition < partitions.get())
        .ok_or_else(|| DatabaseError::Unexpected("a checkpoint is of no partition".to_owned()))?;
    Ok((partition, log_point(row)?))
}

/// The checkpoints of a projection into `partitions`, as [`CHECKPOINTS`] reads them. Without the row of a partition, or
/// with one that cannot be read, nothing counts as projected there until the projector has written it again.
///
/// # Errors
/// When the database fails.
pub async fn checkpoints(
    read_models: &Database,
    partitions: PartitionCount,
) -> Result<Vec<(u16, LogPoint)>, DatabaseError> {
    let rows = read_models.fetch_all(CHECKPOINTS, &[partitions.get().into()]).await?;
    Ok(checkpoints_of(&rows, partitions))
}

/// The checkpoints of the rows of [`CHECKPOINTS`] that can be read.
pub fn checkpoints_of(rows: &[Row], partitions: PartitionCount) -> Vec<(u16, LogPoint)> {
    readable("checkpoints", "partition", rows, |row| checkpoint_of(row, partitions))
}

/// The point of the log in the columns `position` and `event_id`.
///
/// # Errors
/// When they have invalid values.
pub fn log_point(row: &Row) -> Result<LogPoint, DatabaseError> {
    Ok(LogPoint { position: row.unsigned("position")?, id: row.optional_uuid("event_id")?.map(EventId) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_says_which_step_was_taken() {
        let step = Step { partitions: 64, partition: 7, position: 12_345 };
        assert_eq!(step.to_string().parse(), Ok(step));
        assert!(step.to_string().starts_with(&step.key()));
        for bad in ["", "64 7", "64 7 x", "64 7 1 2", "64  7 1", "65536 7 1", "64 7 -1"] {
            assert_eq!(bad.parse::<Step>(), Err(NotAStep), "{bad:?}");
        }
    }
}

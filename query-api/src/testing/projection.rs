//! The checkpoints of a projection, as the projector moves them.

use database::Database;
use events::{PartitionCount, UserId};

/// The number of partitions of every projection.
pub(crate) const PARTITIONS: PartitionCount = PartitionCount::new(4).unwrap();

/// Moves the checkpoint of `subject` as the projector does.
pub(crate) async fn project(database: &Database, subject: UserId, position: u64, signal: bool) {
    let mut transaction = database.begin().await.unwrap();
    let partition = PARTITIONS.of(subject);
    let sql = "INSERT INTO checkpoints (partitions, partition, position) VALUES ($1, $2, $3) \
               ON CONFLICT (partitions, partition) DO UPDATE SET position = excluded.position";
    transaction.execute(sql, &[PARTITIONS.get().into(), partition.into(), position.into()]).await.unwrap();
    transaction.commit().await.unwrap();
    if signal {
        signal_checkpoint(database, subject, position);
    }
}

/// Signals the checkpoint of `subject`, as the projector does after a commit.
pub(crate) fn signal_checkpoint(database: &Database, subject: UserId, position: u64) {
    let key = format!("{} {}", PARTITIONS.get(), PARTITIONS.of(subject));
    let payload = format!("{key} {position}");
    database.signal(read_models::CHECKPOINT_CHANNEL, key, payload);
}

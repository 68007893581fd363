//! Which replica projects which partitions. Leases only see to it that the work is shared and goes on when a replica
//! stands still; that nothing is projected twice is the checkpoints' doing, whoever believes to own what.

use std::{collections::BTreeSet, time::Duration};

use database::{Database, DatabaseError};
use events::PartitionCount;
use uuid::Uuid;

/// How often a replica shows that it is alive.
pub(crate) const RENEWAL: Duration = Duration::from_secs(1);

/// A replica that has not shown itself for so long, by the database's clock, loses its partitions.
const LEASE: Duration = Duration::from_secs(5);

/// Renews what `replica` owns, gives back what is more than its share, and takes what is free up to it. One statement
/// is the whole transaction, so that no replica holds a lock while it stands still. On SQLite there is but one.
pub(crate) async fn claim(
    read_models: &Database,
    partitions: PartitionCount,
    replica: Uuid,
) -> Result<BTreeSet<u16>, DatabaseError> {
    if !read_models.is_postgres() {
        return Ok(partitions.iter().collect());
    }
    let lease = i64::try_from(LEASE.as_millis()).unwrap_or(i64::MAX);
    read_models
        .fetch_all(
            "SELECT owned FROM claim_partitions($1, $2, $3) AS owned",
            &[partitions.get().into(), replica.into(), lease.into()],
        )
        .await?
        .iter()
        .map(|row| {
            let partition = row.unsigned("owned")?;
            u16::try_from(partition)
                .map_err(|_| DatabaseError::Unexpected(format!("a lease is of partition {partition}")))
        })
        .collect()
}

/// Gives everything back, so that the others need not wait.
pub(crate) async fn release(read_models: &Database, replica: Uuid) -> Result<(), DatabaseError> {
    if read_models.is_postgres() {
        for sql in [
            "DELETE FROM partition_leases WHERE replica = $1",
            "DELETE FROM projector_replicas WHERE replica = $1",
        ] {
            read_models.execute(sql, &[replica.into()]).await?;
        }
    }
    Ok(())
}

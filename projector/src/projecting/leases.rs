//! Assigns partitions to replicas. Leases only share the work, and move it when a replica stops. The checkpoints
//! prevent that an event is projected twice, whatever replicas believe to own.

use std::{collections::BTreeSet, time::Duration};

use database::{Database, DatabaseError, readable};
use events::PartitionCount;
use uuid::Uuid;

pub(crate) const RENEWAL: Duration = Duration::from_secs(1);

/// A replica that has not renewed its leases for this time, by the database's clock, loses its partitions.
pub(crate) const LEASE: Duration = Duration::from_secs(5);

/// Renews the leases of `replica`, releases those beyond its share, and takes free ones up to it. One statement is
/// the whole transaction, so that a stopped replica holds no lock. On SQLite there is only one replica.
pub(crate) async fn claim(
    read_models: &Database,
    partitions: PartitionCount,
    replica: Uuid,
) -> Result<BTreeSet<u16>, DatabaseError> {
    if !read_models.is_postgres() {
        return Ok(partitions.iter().collect());
    }
    let lease = runtime::signed(LEASE.as_millis());
    let rows = read_models
        .fetch_all(
            "SELECT owned FROM claim_partitions($1, $2, $3) AS owned",
            &[partitions.get().into(), replica.into(), lease.into()],
        )
        .await?;
    let owned = readable("partition_leases", "owned", &rows, |row| {
        let partition = row.integer("owned")?;
        let known = u16::try_from(partition).ok();
        known
            .filter(|partition| *partition < partitions.get())
            .ok_or_else(|| DatabaseError::Unexpected(format!("a lease is of partition {partition}")))
    });
    if owned.len() < rows.len() {
        // It takes the place of a lease that this replica could have.
        let strange =
            "DELETE FROM partition_leases WHERE partitions = $1 AND (partition < 0 OR partition >= $1)";
        read_models.execute(strange, &[partitions.get().into()]).await?;
    }
    Ok(owned.into_iter().collect())
}

/// Releases all leases, so that other replicas need not wait.
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

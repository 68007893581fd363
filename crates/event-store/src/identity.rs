//! Compares stored positions with the log.

use events::LogPoint;

use crate::{EventStore, StoreError};

/// For each of `points`, whether the log has its event at its position, in the order given. One question to the
/// store for all of them.
///
/// # Errors
/// As [`EventStore::identify`].
pub async fn agrees(store: &dyn EventStore, points: &[LogPoint]) -> Result<Vec<bool>, StoreError> {
    if points.iter().all(|point| point.position == 0) {
        return Ok(vec![true; points.len()]);
    }
    let positions: Vec<u64> = points.iter().map(|point| point.position).collect();
    let found = store.identify(&positions).await?;
    Ok(points.iter().zip(found).map(|(point, found)| point.agrees_with(found)).collect())
}

/// Whether the log has the events of all `points` at their positions.
///
/// # Errors
/// As [`EventStore::identify`].
pub async fn has_all(store: &dyn EventStore, points: &[LogPoint]) -> Result<bool, StoreError> {
    Ok(agrees(store, points).await?.into_iter().all(|agrees| agrees))
}

/// The last event of the log.
///
/// # Errors
/// As [`EventStore::head`] and [`EventStore::identify`].
pub async fn head_point(store: &dyn EventStore) -> Result<LogPoint, StoreError> {
    loop {
        let position = store.head().await?;
        if position == 0 {
            return Ok(LogPoint::START);
        }
        // The log was cut between the two reads: repeat both.
        if let Some(id) = store.identify(&[position]).await?.pop().flatten() {
            return Ok(LogPoint { position, id: Some(id) });
        }
    }
}

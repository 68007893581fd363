//! Takes rows away of streams whose payloads were dropped from the log, as a rebuild does not have them.

use database::Database;
use events::StreamName;

use super::{Generation, Generations, Lock, RebuildError};
use crate::projecting::writing;

/// Every set of tables, while no rebuild is at work on them.
pub struct DroppedRows {
    tables: Vec<Database>,
    _lock: Lock,
}

impl DroppedRows {
    /// The read models at `url`, with what an interrupted rebuild has left and what is kept for a step back.
    ///
    /// # Errors
    /// When a rebuild is at work, or they cannot be opened.
    pub async fn open(url: &str) -> Result<Self, RebuildError> {
        let places = Generations::new(url);
        let live = places.open(Generation::Live).await?;
        let lock = Lock::take(&places, &live).await?;
        let mut tables = Vec::new();
        for generation in [Generation::Shadow, Generation::Previous] {
            if places.exists(&live, generation).await? {
                tables.push(places.open(generation).await?);
            }
        }
        tables.push(live);
        Ok(Self { tables, _lock: lock })
    }

    /// Deletes the rows of `streams`. Everything of them must have been projected.
    ///
    /// # Errors
    /// When that is not possible.
    pub async fn delete(
        &self,
        streams: impl Iterator<Item = &StreamName> + Clone,
    ) -> Result<(), RebuildError> {
        for tables in &self.tables {
            let mut transaction = tables.begin().await?;
            writing::delete(&mut transaction, streams.clone()).await?;
            transaction.commit().await?;
        }
        Ok(())
    }

    pub async fn close(&self) {
        for tables in &self.tables {
            tables.close().await;
        }
    }
}

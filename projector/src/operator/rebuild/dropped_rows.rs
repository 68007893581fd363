//! Deletes the rows of streams whose payloads were dropped from the log. A rebuild would not have them either.

use database::Database;
use events::StreamName;

use super::{Generation, Generations, Lock, RebuildError};
use crate::projecting::writing;

/// Every set of tables, while no rebuild is running.
pub struct DroppedRows {
    tables: Vec<Database>,
    _lock: Lock,
}

impl DroppedRows {
    /// Opens the read models at `url`, with the tables of an interrupted rebuild and the previous ones.
    ///
    /// # Errors
    /// When a rebuild is running, or they cannot be opened.
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

    /// Deletes the rows of `streams`. All of their events must be projected.
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

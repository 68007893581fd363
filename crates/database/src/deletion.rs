//! Deletes many rows in batches.

use crate::{Database, DatabaseError, Value};

/// The most rows that one statement deletes, so that nobody waits long for a lock.
const BATCH: u64 = 1_000;

impl Database {
    /// Runs the statement `delete` until nothing is left to delete, or `most` rows are deleted. Returns the number of
    /// deleted rows. The statement deletes at most `$1` rows; its other parameters are `values`.
    ///
    /// # Errors
    /// When a statement fails. Rows that earlier statements deleted stay deleted.
    pub async fn delete_in_batches(
        &self,
        delete: &str,
        values: &[Value],
        most: u64,
    ) -> Result<u64, DatabaseError> {
        let mut total = 0;
        while total < most {
            let limit = BATCH.min(most - total);
            let all = [&[Value::from(limit)][..], values].concat();
            let deleted = self.execute(delete, &all).await?;
            total += deleted;
            if deleted < limit {
                break;
            }
        }
        Ok(total)
    }
}

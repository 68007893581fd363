//! Deletes many rows, some at a time.

use crate::{Database, DatabaseError, Value};

/// The most rows that one statement deletes, so that nobody waits long for a lock.
const BATCH: u64 = 1_000;

impl Database {
    /// Runs `delete` until nothing is left to delete, or `most` rows are deleted, and returns how many were. The statement deletes at
    /// most `$1` rows; the other parameters are `values`.
    ///
    /// # Errors
    /// When a statement fails. What the ones before it deleted stays deleted.
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

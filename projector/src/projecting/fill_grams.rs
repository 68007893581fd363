//! Fills the column `grams` of tasks that were written before it existed, also after a rollback.

use std::time::Duration;

use database::{Database, DatabaseError, readable};
use runtime::{Rounds, with_causes};
use tokio_util::sync::CancellationToken;

use crate::tuning::Tuning;

/// The most tasks in one transaction: a long one takes a few hundred microseconds.
const BATCH: u64 = 100;

/// The pause between two batches, so that new events come first.
const PAUSE: Duration = Duration::from_millis(10);

/// Searches for such tasks repeatedly, until `stop` is cancelled. An empty index shows that there are none.
pub(crate) async fn fill_grams(read_models: Database, tuning: Tuning, stop: CancellationToken) {
    let mut rounds = Rounds::every(tuning.sample, stop);
    while rounds.next().await {
        match fill_batch(&read_models).await {
            Ok(0) => {}
            Ok(_) => rounds.set_next_pause(PAUSE),
            Err(error) => {
                tracing::warn!(
                    error = with_causes(&error),
                    "cannot make tasks searchable by their grams"
                );
                rounds.set_next_pause(tuning.heartbeat);
            }
        }
    }
}

/// Fills some tasks. Returns how many it has filled.
async fn fill_batch(read_models: &Database) -> Result<usize, DatabaseError> {
    let sql = "SELECT id, version, search_text FROM tasks WHERE grams IS NULL ORDER BY id LIMIT $1";
    let rows = read_models.fetch_all(sql, &[BATCH.into()]).await?;
    if rows.is_empty() {
        return Ok(0);
    }
    let lacking = readable("tasks", "id", &rows, |row| {
        let grams = read_models::signature(row.str("search_text")?);
        Ok([
            grams.into(),
            row.uuid("id")?.into(),
            row.integer("version")?.into(),
        ])
    });
    let mut tx = read_models.begin().await?;
    for values in &lacking {
        // If an event was projected meanwhile, the version differs, and the column is filled already.
        tx.execute(
            "UPDATE tasks SET grams = $1 WHERE id = $2 AND version = $3",
            values,
        )
        .await?;
    }
    tx.commit().await?;
    Ok(lacking.len())
}

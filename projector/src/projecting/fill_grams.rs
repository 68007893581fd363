//! Fills the column `grams` of tasks that were written before it existed, also after a rollback.

use std::time::Duration;

use database::{Database, DatabaseError, Value, readable_page};
use runtime::{Rounds, with_causes};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::tuning::Tuning;

/// The most tasks in one transaction: a long one takes a few hundred microseconds.
const BATCH: u64 = 100;

/// The pause between two batches, so that new events come first.
const PAUSE: Duration = Duration::from_millis(10);

/// Searches for such tasks repeatedly, until `stop` is cancelled. An empty index shows that there are none.
pub(crate) async fn fill_grams(read_models: Database, tuning: Tuning, stop: CancellationToken) {
    let mut rounds = Rounds::every(tuning.sample, stop);
    let mut after = Uuid::nil();
    while rounds.next().await {
        match fill_batch(&read_models, after).await {
            Ok(None) => after = Uuid::nil(),
            Ok(Some(last)) => {
                after = last;
                rounds.set_next_pause(PAUSE);
            }
            Err(error) => {
                tracing::warn!(error = with_causes(&error), "cannot make tasks searchable by their grams");
                rounds.set_next_pause(tuning.heartbeat);
            }
        }
    }
}

/// Fills some tasks after the task `after`. Returns the last of them, or `None` when there were none.
async fn fill_batch(read_models: &Database, after: Uuid) -> Result<Option<Uuid>, DatabaseError> {
    let sql =
        "SELECT id, version, search_text FROM tasks WHERE grams IS NULL AND id > $1 ORDER BY id LIMIT $2";
    let values = vec![after.into(), BATCH.into()];
    let lacking = readable_page(read_models, "tasks", &["id"], sql, values, |row| {
        let grams = read_models::signature(row.str("search_text")?);
        Ok((row.uuid("id")?, row.integer("version")?, grams))
    })
    .await?;
    let Some(&(last, ..)) = lacking.last() else {
        return Ok(None);
    };
    let mut tx = read_models.begin().await?;
    for (id, version, grams) in lacking {
        let values: [Value; 3] = [grams.into(), id.into(), version.into()];
        // If an event was projected meanwhile, the version differs, and the column is filled already.
        tx.execute("UPDATE tasks SET grams = $1 WHERE id = $2 AND version = $3", &values).await?;
    }
    tx.commit().await?;
    Ok(Some(last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::read_models;

    #[tokio::test]
    async fn a_whole_batch_of_no_known_form_hides_no_task_behind_it() {
        let directory = tempfile::tempdir().unwrap();
        let database = read_models(directory.path()).await;
        let task = Uuid::from_u128(1 << 120);
        let sql = format!(
            "INSERT INTO tasks (id, owner, title, title_sort, status, priority, tags, tag_list, search_text, created_at,
                 updated_at, version, position)
             WITH RECURSIVE numbers (number) AS (
                 SELECT 0 UNION ALL SELECT number + 1 FROM numbers WHERE number < {BATCH}
             )
             SELECT CASE number WHEN 0 THEN '{task}' ELSE '00none' || number END, 'nobody', 'a', 'a', 'open', 1, '[]', '',
                 'a', 1, 1, 1, 1
             FROM numbers"
        );
        database.execute(&sql, &[]).await.unwrap();
        assert_eq!(fill_batch(&database, Uuid::nil()).await.unwrap(), Some(task));
        assert_eq!(fill_batch(&database, task).await.unwrap(), None);
        let sql = "SELECT id FROM tasks WHERE grams IS NOT NULL";
        let filled = database.fetch_all(sql, &[]).await.unwrap();
        assert_eq!(filled.len(), 1);
    }
}

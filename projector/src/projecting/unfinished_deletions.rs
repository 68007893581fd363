//! Continues deletions that were too large for one transaction. Each transaction deletes a limited number of rows, so
//! that others need not wait long. A person or task whose rows cannot be deleted now does not delay the next one.

use database::{Database, DatabaseError, Transaction, left_out, readable_page};
use events::{TaskId, TaskPurged, UserId};
use uuid::Uuid;

use super::{
    apply::LOCK_TIMEOUT,
    deletion::{Erasure, RowBudget, purge},
};

/// Deletes all remaining rows of erased people and of purged tasks.
///
/// # Errors
/// When that fails for at least one of them.
pub(crate) async fn finish_deletions(read_models: &Database) -> Result<(), DatabaseError> {
    let mut result = Ok(());
    let mut after = Uuid::nil();
    while let Some(subject) = next(read_models, "subject", "unfinished_erasures", after).await? {
        after = subject;
        result = finish_erasure(read_models, UserId(subject)).await.and(result);
    }
    after = Uuid::nil();
    while let Some(task) = next(read_models, "task", "unfinished_purges", after).await? {
        after = task;
        result = finish_purge(read_models, TaskId(task)).await.and(result);
    }
    result
}

/// Whether nothing is left to delete.
pub(crate) async fn are_finished(read_models: &Database) -> Result<bool, DatabaseError> {
    let erasure = next(read_models, "subject", "unfinished_erasures", Uuid::nil()).await?;
    let purge = next(read_models, "task", "unfinished_purges", Uuid::nil()).await?;
    Ok(erasure.is_none() && purge.is_none())
}

/// The first readable key after `after`. A page has more than one row, so that unreadable ones cost few queries.
async fn next(
    read_models: &Database,
    key: &str,
    table: &str,
    after: Uuid,
) -> Result<Option<Uuid>, DatabaseError> {
    let sql = format!("SELECT {key} FROM {table} WHERE {key} > $1 ORDER BY {key} LIMIT 100");
    let after = vec![after.into()];
    let page = readable_page(read_models, table, &[key], &sql, after, |row| row.uuid(key)).await?;
    Ok(page.into_iter().next())
}

async fn finish_erasure(read_models: &Database, subject: UserId) -> Result<(), DatabaseError> {
    let mut erasure = Erasure::of(subject);
    loop {
        let mut tx = begin(read_models).await?;
        let sql = "SELECT subject FROM unfinished_erasures WHERE subject = $1";
        if take(&mut tx, sql, subject.0).await?.is_none() {
            return Ok(());
        }
        let is_done = erasure.delete_some(&mut tx, &mut RowBudget::new()).await?;
        if is_done {
            let sql = "DELETE FROM unfinished_erasures WHERE subject = $1";
            tx.execute(sql, &[subject.0.into()]).await?;
        }
        tx.commit().await?;
        if is_done {
            return Ok(());
        }
    }
}

async fn finish_purge(read_models: &Database, task: TaskId) -> Result<(), DatabaseError> {
    loop {
        let mut tx = begin(read_models).await?;
        let sql = "SELECT task, position FROM unfinished_purges WHERE task = $1";
        let Some(row) = take(&mut tx, sql, task.0).await? else {
            return Ok(());
        };
        let known = left_out("unfinished_purges", "task", &row, row.unsigned("position"));
        let position = match known {
            Some(position) => position,
            None => purged_at(&mut tx, task).await?,
        };
        let is_done = purge(&mut tx, task, position, &mut RowBudget::new()).await?;
        if is_done {
            let sql = "DELETE FROM unfinished_purges WHERE task = $1";
            tx.execute(sql, &[task.0.into()]).await?;
        }
        tx.commit().await?;
        if is_done {
            return Ok(());
        }
    }
}

/// Begins a transaction that holds up a swap of the tables, as those do that begin with a checkpoint. Otherwise its
/// first statements could find the old tables and its last ones the new ones, and forget what is to be deleted there.
async fn begin(read_models: &Database) -> Result<Transaction, DatabaseError> {
    let mut tx = read_models.begin_with_lock_timeout(LOCK_TIMEOUT).await?;
    if tx.is_postgres() {
        tx.execute("LOCK TABLE checkpoints IN ROW EXCLUSIVE MODE", &[]).await?;
    }
    Ok(tx)
}

/// The position of the event that purged `task`, according to its history; 0 without one.
async fn purged_at(tx: &mut Transaction, task: TaskId) -> Result<u64, DatabaseError> {
    let sql = "SELECT COALESCE(MAX(position), 0) AS position FROM task_history WHERE task = $1 AND type = $2";
    let row = tx.fetch_optional(sql, &[task.0.into(), TaskPurged::KIND.into()]).await?;
    row.map_or(Ok(0), |row| row.unsigned("position"))
}

/// Locks and returns the row of an unfinished deletion. `None` when it is finished or another projector has the lock.
async fn take(tx: &mut Transaction, sql: &str, id: Uuid) -> Result<Option<database::Row>, DatabaseError> {
    let lock = if tx.is_postgres() { " FOR UPDATE SKIP LOCKED" } else { "" };
    tx.fetch_optional(&format!("{sql}{lock}"), &[id.into()]).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::read_models;

    #[tokio::test]
    async fn a_row_of_no_known_form_hides_none_behind_it() {
        let directory = tempfile::tempdir().unwrap();
        let database = read_models(directory.path()).await;
        let sql = "INSERT INTO unfinished_erasures (subject) VALUES ($1)";
        for subject in (10..20).map(|number| format!("00none{number}")) {
            database.execute(sql, &[subject.into()]).await.unwrap();
        }
        assert!(are_finished(&database).await.unwrap(), "nobody can be read");
        let person = Uuid::from_u128(1 << 120);
        database.execute(sql, &[person.into()]).await.unwrap();
        assert!(!are_finished(&database).await.unwrap());
        finish_deletions(&database).await.unwrap();
        assert!(are_finished(&database).await.unwrap());
    }
}

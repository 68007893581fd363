//! Goes on with deletions that were too long for the transaction that began them. Each transaction deletes some rows, so that
//! nobody waits long, and whoever cannot be dealt with now holds up no other.

use database::{Database, DatabaseError, Transaction};
use events::{TaskId, UserId};
use uuid::Uuid;

use super::{
    apply::LOCK_TIMEOUT,
    deletion::{Erasure, RowBudget, purge},
};

/// Deletes everything that is left of people who were erased and of tasks that were purged.
///
/// # Errors
/// When that was not possible with at least one of them.
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

async fn next(
    read_models: &Database,
    key: &str,
    table: &str,
    after: Uuid,
) -> Result<Option<Uuid>, DatabaseError> {
    let sql = format!("SELECT {key} FROM {table} WHERE {key} > $1 ORDER BY {key} LIMIT 1");
    let row = read_models.fetch_optional(&sql, &[after.into()]).await?;
    row.map(|row| row.uuid(key)).transpose()
}

async fn finish_erasure(read_models: &Database, subject: UserId) -> Result<(), DatabaseError> {
    let mut erasure = Erasure::of(subject);
    loop {
        let mut tx = read_models.begin_with_lock_timeout(LOCK_TIMEOUT).await?;
        let sql = "SELECT subject FROM unfinished_erasures WHERE subject = $1";
        if take(&mut tx, sql, subject.0).await?.is_none() {
            return Ok(());
        }
        let is_done = erasure.go_on(&mut tx, &mut RowBudget::new()).await?;
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
        let mut tx = read_models.begin_with_lock_timeout(LOCK_TIMEOUT).await?;
        let sql = "SELECT position FROM unfinished_purges WHERE task = $1";
        let Some(row) = take(&mut tx, sql, task.0).await? else {
            return Ok(());
        };
        let position = row.unsigned("position")?;
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

/// The row that says that there is more to delete, which nobody else takes meanwhile; nothing when another projector has it.
async fn take(tx: &mut Transaction, sql: &str, id: Uuid) -> Result<Option<database::Row>, DatabaseError> {
    let lock = if tx.is_postgres() {
        " FOR UPDATE SKIP LOCKED"
    } else {
        ""
    };
    tx.fetch_optional(&format!("{sql}{lock}"), &[id.into()]).await
}

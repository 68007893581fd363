//! Removes erased people from places that a projection does not reach: rows that were too many for one transaction, the
//! tables that a rebuild has put aside, and deleted rows in SQLite's file.

use std::time::Duration;

use database::{Database, DatabaseError, Forgetting};
use events::UserId;
use runtime::{Rounds, with_causes};
use tokio_util::sync::CancellationToken;

use crate::{
    operator::rebuild::{RebuildError, remove_others},
    projecting::{
        apply::LOCK_TIMEOUT,
        checkpoint,
        deletion::{Erasure, RowBudget},
        unfinished_deletions::{are_finished, finish_deletions},
        writing,
    },
};

/// How often it checks whether people were erased.
const INTERVAL: Duration = Duration::from_secs(5);
/// The most people that are read at once.
const PEOPLE: u64 = 50;

/// How many rounds wait for a rebuild until that is reported: five minutes.
const QUIET_ROUNDS: u32 = 60;

/// Checks repeatedly, until `stop` is cancelled.
pub(crate) async fn forget_the_erased(read_models: Database, stop: CancellationToken) {
    let (mut forgotten, mut cleared, mut waited) = (None, None, 0_u32);
    let mut forgetting = Forgetting::of(read_models.clone());
    let mut rounds = Rounds::every(INTERVAL, stop);
    while rounds.next().await {
        let done = forget(&read_models, &mut forgetting, forgotten, &mut cleared).await;
        waited = match done {
            Err(RebuildError::AlreadyRunning) => waited.saturating_add(1),
            _ => 0,
        };
        match done {
            Ok(count) => forgotten = count.or(forgotten),
            Err(RebuildError::AlreadyRunning) => {
                if waited.is_multiple_of(QUIET_ROUNDS) {
                    tracing::warn!(
                        waited_seconds = INTERVAL.as_secs() * u64::from(waited),
                        "people who were erased are still in deleted rows of the file, since a rebuild is at work or waits for \
                         an answer: they are removed when it has ended"
                    );
                }
            }
            Err(error) => {
                tracing::warn!(
                    error = with_causes(&error),
                    "people who were erased are still in some tables, or in free pages; trying again"
                );
            }
        }
    }
}

/// Removes all erased people, unless `forgotten` says that this was done. Returns the number of erased people, or
/// `None` when it has to be repeated. `cleared` is the number of them for which the files of a rebuild were removed.
async fn forget(
    read_models: &Database,
    forgetting: &mut Forgetting,
    forgotten: Option<u64>,
    cleared: &mut Option<u64>,
) -> Result<Option<u64>, RebuildError> {
    // Others must not wait for people or tasks whose rows cannot be deleted now.
    let finished = finish_deletions(read_models).await;
    let forgotten = forget_aside(read_models, forgetting, forgotten, cleared).await?;
    finished?;
    Ok(forgotten)
}

/// Removes all erased people from where no projection reaches, as [`forget`] says.
async fn forget_aside(
    read_models: &Database,
    forgetting: &mut Forgetting,
    forgotten: Option<u64>,
    cleared: &mut Option<u64>,
) -> Result<Option<u64>, RebuildError> {
    let erased = "SELECT COUNT(*) AS number FROM erased_subjects";
    let erased = read_models.number(erased, &[]).await?;
    if read_models.is_postgres() {
        if forgotten != Some(erased) {
            for schema in schemas_aside(read_models).await? {
                erase_aside(read_models, &schema).await?;
            }
        }
        return Ok(Some(erased));
    }
    // SQLite stores a free number in each file. Here it is the number of erasures before the last rewrite of the
    // file.
    let noted = "SELECT user_version AS number FROM pragma_user_version";
    if read_models.number(noted, &[]).await? == erased {
        return Ok(Some(erased));
    }
    if !are_finished(read_models).await? {
        return Ok(None);
    }
    // The file may have to wait for a day until it is written again. What a rebuild makes until then has nobody of
    // them, and stays.
    if *cleared != Some(erased) {
        // When a running rebuild has ended they are gone, or are the live ones.
        remove_others(read_models)?;
        *cleared = Some(erased);
    }
    if !forgetting.forget_deleted().await? {
        return Ok(None);
    }
    let note = format!("PRAGMA user_version = {erased}");
    read_models.execute(&note, &[]).await?;
    Ok(Some(erased))
}

/// The other schemas that this process may use. A rebuild by a user with other permissions cleans its own.
async fn schemas_aside(read_models: &Database) -> Result<Vec<String>, DatabaseError> {
    let sql = "SELECT nspname::text AS name FROM pg_namespace \
         WHERE starts_with(nspname::text, 'read_models_') AND has_schema_privilege(oid, 'USAGE') \
             AND to_regclass(quote_ident(nspname::text) || '.erased_subjects') IS NOT NULL";
    let rows = read_models.fetch_all(sql, &[]).await?;
    rows.iter().map(|row| row.text("name")).collect()
}

/// Removes all erased people from the tables in `schema`. A failure with one person does not stop it.
async fn erase_aside(read_models: &Database, schema: &str) -> Result<(), DatabaseError> {
    let missing = format!(
        "SELECT subject, position FROM erased_subjects e WHERE subject > $1
             AND NOT EXISTS (SELECT 1 FROM {schema}.erased_subjects a WHERE a.subject = e.subject)
         ORDER BY subject LIMIT $2"
    );
    let mut result = Ok(());
    let mut after = UserId::NOBODY;
    loop {
        let people = read_models.fetch_all(&missing, &[after.0.into(), PEOPLE.into()]).await?;
        for person in &people {
            after = UserId(person.uuid("subject")?);
            // Where it cannot be read, nothing depends on when it was.
            let position = person.unsigned("position").unwrap_or_default();
            result = erase_one_aside(read_models, schema, after, position).await.and(result);
        }
        if people.is_empty() {
            return result;
        }
    }
}

async fn erase_one_aside(
    read_models: &Database,
    schema: &str,
    subject: UserId,
    position: u64,
) -> Result<(), DatabaseError> {
    let mut erasure = Erasure::of(subject);
    loop {
        let mut tx = read_models.begin_with_lock_timeout(LOCK_TIMEOUT).await?;
        tx.execute(&format!("SET LOCAL search_path TO {schema}"), &[]).await?;
        // A rebuild may be projecting into these tables: what it has not committed yet would not be seen here.
        checkpoint::lock(&mut tx, subject).await?;
        let is_done = erasure.delete_some(&mut tx, &mut RowBudget::new()).await?;
        if is_done {
            writing::remember_erased(&mut tx, subject, position).await?;
        }
        tx.commit().await?;
        if is_done {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;
    use crate::testing::read_models;

    #[tokio::test]
    async fn what_a_rebuild_puts_aside_while_the_file_waits_to_be_written_again_stays() {
        let directory = TempDir::new().unwrap();
        let live = read_models(directory.path()).await;
        let mut forgetting = Forgetting::of(live.clone());
        let mut cleared = None;
        let files =
            ["read-models.previous.db", "read-models.shadow.db"].map(|name| directory.path().join(name));
        for number in 1..=2 {
            let erase = format!(
                "INSERT INTO erased_subjects (subject, position) VALUES ('{}', 1)",
                UserId(runtime::new_id())
            );
            live.execute(&erase, &[]).await.unwrap();
            // It cannot be written again as long as this lasts.
            let mut reading = live.snapshot().await.unwrap();
            reading.fetch_all("SELECT subject FROM erased_subjects", &[]).await.unwrap();
            for is_kept in [false, true] {
                for file in &files {
                    fs::write(file, "").unwrap();
                }
                let done = forget_aside(&live, &mut forgetting, None, &mut cleared).await;
                assert_eq!(done.unwrap(), None, "{number}");
                assert!(files.iter().all(|file| file.exists() == is_kept), "{number}");
            }
        }
    }
}

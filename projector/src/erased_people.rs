//! Removes erased people from places that a projection does not reach: rows that were too many for one transaction, the
//! tables that a rebuild has put aside, and deleted rows in SQLite's file.

use std::time::Duration;

use database::{Database, DatabaseError, Forgetting};
use events::UserId;
use runtime::Rounds;
use tokio_util::sync::CancellationToken;

use crate::{
    operator::rebuild::{RebuildError, remove_others},
    projecting::{
        apply::LOCK_TIMEOUT,
        decode::sentence,
        deletion::{Erasure, RowBudget},
        unfinished_deletions::{are_finished, finish_deletions},
        writing,
    },
};

/// How often it checks whether people were erased.
const EVERY: Duration = Duration::from_secs(5);
/// The most people that are read at once.
const PEOPLE: u64 = 50;

/// Checks repeatedly, until `stop` is cancelled.
pub(crate) async fn forget_the_erased(read_models: Database, stop: CancellationToken) {
    let mut forgotten = None;
    let mut forgetting = Forgetting::of(read_models.clone());
    let mut rounds = Rounds::every(EVERY, stop);
    while rounds.next().await {
        match forget(&read_models, &mut forgetting, forgotten).await {
            Ok(count) => forgotten = count.or(forgotten),
            Err(error) => {
                tracing::warn!(
                    error = sentence(&error),
                    "people who were erased are still in some tables, or in free pages; trying again"
                );
            }
        }
    }
}

/// Removes all erased people, unless `forgotten` says that this was done. Returns the number of erased people, or
/// `None` when it has to be repeated.
async fn forget(
    read_models: &Database,
    forgetting: &mut Forgetting,
    forgotten: Option<u64>,
) -> Result<Option<u64>, RebuildError> {
    finish_deletions(read_models).await?;
    let erased = number(read_models, "SELECT COUNT(*) AS number FROM erased_subjects").await?;
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
    if number(read_models, noted).await? == erased {
        return Ok(Some(erased));
    }
    if !are_finished(read_models).await? {
        return Ok(None);
    }
    match remove_others(read_models) {
        Ok(()) => {}
        // When the rebuild has ended they are gone, or are the live ones.
        Err(RebuildError::AtWork) => return Ok(None),
        Err(error) => return Err(error),
    }
    if !forgetting.forget_deleted().await? {
        return Ok(None);
    }
    let note = format!("PRAGMA user_version = {erased}");
    read_models.execute(&note, &[]).await?;
    Ok(Some(erased))
}

async fn number(read_models: &Database, sql: &str) -> Result<u64, DatabaseError> {
    let row = read_models.fetch_optional(sql, &[]).await?;
    row.map_or(Ok(0), |row| row.unsigned("number"))
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
        let people = read_models
            .fetch_all(&missing, &[after.0.into(), PEOPLE.into()])
            .await?;
        for person in &people {
            after = UserId(person.uuid("subject")?);
            let position = person.unsigned("position")?;
            result = erase_one_aside(read_models, schema, after, position)
                .await
                .and(result);
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
        tx.execute(&format!("SET LOCAL search_path TO {schema}"), &[])
            .await?;
        let is_done = erasure.go_on(&mut tx, &mut RowBudget::new()).await?;
        if is_done {
            writing::remember_erased(&mut tx, subject, position).await?;
        }
        tx.commit().await?;
        if is_done {
            return Ok(());
        }
    }
}

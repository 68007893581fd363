//! The transaction in which new tables replace the live ones.

use std::{path::Path, time::Duration};

use database::{Database, DatabaseError, Schema, Transaction};
use events::{LogPoint, PartitionCount};
use runtime::{private_files, with_causes};
use sqlx::{Connection as _, SqliteConnection};

use super::{
    RebuildError,
    generations::{Generation, Generations, SCHEMA_OF_NAME, failed, remove_files},
};
use crate::{
    operator::locking::{begin_with_locks, lock_all},
    projecting::{
        apply::{LOCK_TIMEOUT, is_lock_timeout},
        checkpoint::{self, CheckpointMove},
    },
};

const LIVE: &str = Schema::ReadModels.name();
const SHADOW: &str = Schema::ReadModelsShadow.name();
const PREVIOUS: &str = Schema::ReadModelsPrevious.name();
/// The name of the live tables for a moment, while the previous ones replace them.
const NEXT: &str = "read_models_next";

/// Grants users of the live tables and views the same rights on these, and on those of later migrations.
fn grants() -> String {
    format!(
        "DO $$
DECLARE
    given record;
BEGIN
    FOR given IN
        SELECT a.privilege_type AS privilege, '' AS name,
            CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END AS role
        FROM pg_namespace n, aclexplode(n.nspacl) a
        WHERE n.nspname = '{LIVE}' AND a.grantee <> n.nspowner
        UNION ALL
        SELECT a.privilege_type, quote_ident(c.relname),
            CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(c.relacl) a
        WHERE n.nspname = '{LIVE}' AND c.relkind IN ('r', 'v') AND a.grantee <> c.relowner
            AND to_regclass('{SHADOW}.' || quote_ident(c.relname)) IS NOT NULL
    LOOP
        IF given.name = '' THEN
            EXECUTE format('GRANT %s ON SCHEMA {SHADOW} TO %s', given.privilege, given.role);
        ELSE
            EXECUTE format('GRANT %s ON {SHADOW}.%s TO %s', given.privilege, given.name, given.role);
        END IF;
    END LOOP;
    FOR given IN
        SELECT a.privilege_type AS privilege, quote_ident(pg_get_userbyid(d.defaclrole)) AS owner,
            CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END AS role
        FROM pg_default_acl d JOIN pg_namespace n ON n.oid = d.defaclnamespace, aclexplode(d.defaclacl) a
        WHERE n.nspname = '{LIVE}' AND d.defaclobjtype = 'r'
    LOOP
        EXECUTE format(
            'ALTER DEFAULT PRIVILEGES FOR ROLE %s IN SCHEMA {SHADOW} GRANT %s ON TABLES TO %s',
            given.owner, given.privilege, given.role
        );
    END LOOP;
END
$$"
    )
}

/// Swaps on PostgreSQL, by renaming schemas.
///
/// Projectors begin each transaction by writing to `checkpoints`. The swap waits for running ones. New ones wait for
/// the lock, then look the table up again, and so find the new one. If its checkpoint is not the expected one, they
/// are fenced off as by another projector. Prepared statements are parsed again, because the renaming invalidates
/// them. Readers are never blocked: each statement sees the old tables or the new ones. The swap does not wait for
/// readers either: they do not lock the name of a schema, and old tables are dropped later.
pub(super) async fn schemas(
    live: &Database,
    generation: Generation,
    final_catch_up: impl Future<Output = Result<u64, RebuildError>>,
) -> Result<u64, RebuildError> {
    let mut tx = begin_with_locks(live, |tx| Box::pin(lock_all(tx))).await.map_err(|error| {
        match is_lock_timeout(&error) {
            true => RebuildError::Busy,
            false => error.into(),
        }
    })?;
    let rows = tx.fetch_all("SELECT partitions, partition FROM checkpoints", &[]).await?;
    let position = final_catch_up.await?;
    let rename = |from: &str, to: &str| format!("ALTER SCHEMA {from} RENAME TO {to}");
    let mut statements = Vec::new();
    match generation {
        Generation::Live => {}
        Generation::Shadow => {
            statements.push(grants());
            if exists(&mut tx, PREVIOUS).await? {
                let aside = format!("{OLD}{}", runtime::new_id().simple());
                statements.push(rename(PREVIOUS, &aside));
            }
            statements.push(rename(LIVE, PREVIOUS));
            statements.push(rename(SHADOW, LIVE));
        }
        Generation::Previous => {
            statements.push(rename(LIVE, NEXT));
            statements.push(rename(PREVIOUS, LIVE));
            statements.push(rename(NEXT, PREVIOUS));
        }
    }
    for sql in statements {
        tx.execute(&sql, &[]).await?;
    }
    for row in rows {
        let count = u16::try_from(row.integer("partitions")?).ok().and_then(PartitionCount::new);
        if let (Some(partitions), Ok(partition)) = (count, u16::try_from(row.integer("partition")?)) {
            let step = CheckpointMove { partition, from: 0, to: LogPoint { position, id: None } };
            checkpoint::signal(&mut tx, partitions, step);
        }
    }
    tx.commit().await?;
    Ok(position)
}

/// The prefix of schemas that will be dropped.
const OLD: &str = "read_models_old_";

async fn exists(tx: &mut Transaction, schema: &str) -> Result<bool, RebuildError> {
    let row = tx.fetch_optional(SCHEMA_OF_NAME, &[schema.into()]).await?;
    Ok(row.is_some())
}

/// Drops the schemas of earlier swaps. One that is still being read is dropped the next time.
pub(super) async fn drop_old(live: &Database) {
    if let Err(error) = try_to_drop_old(live).await {
        tracing::warn!(
            error = with_causes(&error),
            "tables that a rebuild has replaced are still there, perhaps because somebody reads them: the next rebuild drops them"
        );
    }
}

async fn try_to_drop_old(live: &Database) -> Result<(), DatabaseError> {
    let sql = "SELECT nspname::text AS name FROM pg_namespace WHERE starts_with(nspname::text, $1)";
    for row in live.fetch_all(sql, &[OLD.into()]).await? {
        let mut tx = live.begin_with_lock_timeout(LOCK_TIMEOUT).await?;
        tx.execute(&format!("DROP SCHEMA {} CASCADE", row.text("name")?), &[]).await?;
        tx.commit().await?;
    }
    Ok(())
}

/// Swaps on SQLite: a running server has the live file open, so the rows are swapped and not the files. Readers see
/// the old rows until the commit; projectors wait, or fail and retry, for at most `longest_hold`.
pub(super) async fn files(
    places: &Generations,
    live: &Database,
    generation: Generation,
    longest_hold: Duration,
    final_catch_up: impl Future<Output = Result<u64, RebuildError>>,
) -> Result<u64, RebuildError> {
    let (Some(next), Some(copy)) = (places.file(generation), places.copy()) else {
        return Err(RebuildError::NoPrevious);
    };
    remove_files(&copy)?;
    let swapped = rows(live, &next, &copy, longest_hold, final_catch_up).await;
    // Whoever is erased later would stay in it.
    if swapped.is_err()
        && let Err(error) = remove_files(&copy)
    {
        tracing::warn!(%error, "the copy of the tables is left behind: the next rebuild or erasure removes it");
    }
    swapped
}

/// Copies the rows of `live` to a file of their own, and those of `next` to their place.
async fn rows(
    live: &Database,
    next: &Path,
    copy: &Path,
    longest_hold: Duration,
    final_catch_up: impl Future<Output = Result<u64, RebuildError>>,
) -> Result<u64, RebuildError> {
    // SQLite would create a file that everybody can read, but uses an empty one.
    private_files::file(copy).map_err(failed("create", copy))?;
    live.execute("VACUUM INTO $1", &[copy.display().to_string().into()]).await?;
    // This connection must not return to the pool with another file attached.
    let mut loan = live.writer().await?;
    let connection = loan.sqlite().ok_or(RebuildError::NoPrevious)?;
    sqlx::query("ATTACH DATABASE $1 AS next")
        .bind(next.display().to_string())
        .execute(&mut *connection)
        .await?;
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT name FROM main.sqlite_schema WHERE type = 'table' AND name NOT LIKE '\\_sqlx%' ESCAPE '\\'
         AND name NOT LIKE 'sqlite%'",
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut statements = Vec::new();
    for table in &tables {
        let columns = columns(connection, table).await?;
        statements.push(format!("DELETE FROM main.\"{table}\""));
        statements
            .push(format!("INSERT INTO main.\"{table}\" ({columns}) SELECT {columns} FROM next.\"{table}\""));
    }
    let copying = async {
        // An immediate transaction would also lock the other file, which must stay writable.
        let mut tx = connection.begin().await?;
        sqlx::query("UPDATE main.checkpoints SET position = position").execute(&mut *tx).await?;
        let position = final_catch_up.await?;
        for sql in statements {
            sqlx::query(&sql).execute(&mut *tx).await?;
        }
        Ok::<_, RebuildError>((tx, position))
    };
    // After this time the copy ends with the connection, and so does the lock.
    let (tx, position) = tokio::time::timeout(longest_hold, copying)
        .await
        .map_err(|_| RebuildError::TooLarge(longest_hold))??;
    tx.commit().await?;
    loan.close().await;
    Ok(position)
}

/// The columns that can be written; others are computed.
async fn columns(connection: &mut SqliteConnection, table: &str) -> Result<String, RebuildError> {
    let names: Vec<String> = sqlx::query_scalar("SELECT '\"' || name || '\"' FROM pragma_table_info($1)")
        .bind(table)
        .fetch_all(connection)
        .await?;
    Ok(names.join(", "))
}

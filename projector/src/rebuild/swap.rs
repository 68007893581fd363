//! The one transaction in which new tables take the place of the live ones.

use database::Database;
use events::{LogPoint, PartitionCount};
use sqlx::{Connection as _, SqliteConnection};

use super::{
    RebuildError,
    places::{Generation, Places, remove_files},
};
use crate::checkpoint::{self, Move};

/// Whoever may use the live tables may use these.
const GRANTS: &str = "DO $$
DECLARE
    given record;
BEGIN
    FOR given IN
        SELECT a.privilege_type AS privilege, '' AS name,
            CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END AS role
        FROM pg_namespace n, aclexplode(n.nspacl) a
        WHERE n.nspname = 'read_models' AND a.grantee <> n.nspowner
        UNION ALL
        SELECT a.privilege_type, quote_ident(c.relname),
            CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(c.relacl) a
        WHERE n.nspname = 'read_models' AND c.relkind = 'r' AND a.grantee <> c.relowner
            AND to_regclass('read_models_shadow.' || quote_ident(c.relname)) IS NOT NULL
    LOOP
        IF given.name = '' THEN
            EXECUTE format('GRANT %s ON SCHEMA read_models_shadow TO %s', given.privilege, given.role);
        ELSE
            EXECUTE format('GRANT %s ON read_models_shadow.%s TO %s', given.privilege, given.name, given.role);
        END IF;
    END LOOP;
END
$$";

/// PostgreSQL: schemas change their names.
///
/// Projectors begin each transaction by writing to `checkpoints`. Those at work are waited for; those that come
/// wait for the lock, look the table up again when they get it, and so find the new one. If it is not where they
/// think it is, they are fenced off as by any other projector. Statements prepared before are parsed again, since
/// a renamed schema invalidates them. Readers are held up by nothing: each statement sees the old tables or the
/// new ones.
pub(super) async fn schemas(
    live: &Database,
    generation: Generation,
    settle: impl Future<Output = Result<u64, RebuildError>>,
) -> Result<u64, RebuildError> {
    let mut tx = live.begin().await?;
    tx.execute("LOCK TABLE checkpoints IN SHARE ROW EXCLUSIVE MODE", &[])
        .await?;
    let rows = tx
        .fetch_all("SELECT partitions, partition FROM checkpoints", &[])
        .await?;
    let position = settle.await?;
    let renames: &[&str] = match generation {
        Generation::Live => &[],
        Generation::Shadow => &[
            GRANTS,
            "DROP SCHEMA IF EXISTS read_models_previous CASCADE",
            "ALTER SCHEMA read_models RENAME TO read_models_previous",
            "ALTER SCHEMA read_models_shadow RENAME TO read_models",
        ],
        Generation::Previous => &[
            "ALTER SCHEMA read_models RENAME TO read_models_next",
            "ALTER SCHEMA read_models_previous RENAME TO read_models",
            "ALTER SCHEMA read_models_next RENAME TO read_models_previous",
        ],
    };
    for sql in renames {
        tx.execute(sql, &[]).await?;
    }
    for row in rows {
        let count = u16::try_from(row.integer("partitions")?)
            .ok()
            .and_then(PartitionCount::new);
        if let (Some(partitions), Ok(partition)) = (count, u16::try_from(row.integer("partition")?)) {
            let step = Move {
                partition,
                from: 0,
                to: LogPoint { position, id: None },
            };
            checkpoint::signal(&mut tx, partitions, step);
        }
    }
    tx.commit().await?;
    Ok(position)
}

/// SQLite: a running server holds the live file open, so the rows change places and not the files. Readers see
/// the old rows until the commit; projectors wait, or fail and try again.
pub(super) async fn files(
    places: &Places,
    live: &Database,
    generation: Generation,
    settle: impl Future<Output = Result<u64, RebuildError>>,
) -> Result<u64, RebuildError> {
    let (Some(next), Some(copy)) = (places.file(generation), places.copy()) else {
        return Err(RebuildError::NoPrevious);
    };
    remove_files(&copy)?;
    live.execute("VACUUM INTO $1", &[copy.display().to_string().into()])
        .await?;
    // It does not go back to the pool with another file attached.
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
        statements.push(format!(
            "INSERT INTO main.\"{table}\" ({columns}) SELECT {columns} FROM next.\"{table}\""
        ));
    }
    // An immediate transaction would lock the other file, too, which must still be written to.
    let mut tx = connection.begin().await?;
    sqlx::query("UPDATE main.checkpoints SET position = position")
        .execute(&mut *tx)
        .await?;
    let position = settle.await?;
    for sql in statements {
        sqlx::query(&sql).execute(&mut *tx).await?;
    }
    tx.commit().await?;
    loan.close().await;
    Ok(position)
}

/// Those that can be written; others are computed.
async fn columns(connection: &mut SqliteConnection, table: &str) -> Result<String, RebuildError> {
    let names: Vec<String> = sqlx::query_scalar("SELECT '\"' || name || '\"' FROM pragma_table_info($1)")
        .bind(table)
        .fetch_all(connection)
        .await?;
    Ok(names.join(", "))
}

//! Compares `taskledger projection rebuild`, from start to exit, with `COPY` of the same finished rows into the same
//! tables with the same indexes.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Result, ensure};
use futures::TryStreamExt as _;
use sqlx::{Connection as _, Executor as _, PgConnection};
use tempfile::TempDir;

use super::ratio::{Ratio, Rounds, Wanted};
use crate::{catch_up, log, servers};

const TASKS: u64 = 100_000;
const EVENTS: f64 = TASKS as f64 * 3.0;
const TABLES: [&str; 5] = ["tasks", "task_history", "accounts", "sessions", "audit_log"];

pub(super) async fn run(rounds: Rounds, binary: &Path) -> Result<()> {
    let database = servers::Database::create().await?;
    let store = event_store::open(&database.url, 8).await?;
    log::fill(&store, TASKS).await?;
    catch_up::project(store.clone(), &database.url).await?;
    drop(store);
    let mut postgres = PgConnection::connect(&database.url).await?;
    postgres.execute("VACUUM ANALYZE").await?;
    let mut tables = Vec::new();
    for table in TABLES {
        tables.push(Finished::read(&mut postgres, table).await?);
    }
    let mut ratio = Ratio::default();
    for _ in 0..rounds.count {
        let limit = EVENTS / copy(&mut postgres, &tables).await?;
        postgres.execute("CHECKPOINT").await?;
        ratio.add(EVENTS / rebuild(binary, &database.url)?, limit);
    }
    ratio.report("rebuild, all read models | COPY of the finished rows", "/s", Wanted::AtLeast(0.3));
    postgres.close().await?;
    database.drop().await
}

/// A table with the projector's rows.
struct Finished {
    name: &'static str,
    columns: String,
    rows: Vec<u8>,
}

impl Finished {
    async fn read(postgres: &mut PgConnection, name: &'static str) -> Result<Self> {
        let columns: String = sqlx::query_scalar(
            "SELECT string_agg(column_name, ', ' ORDER BY ordinal_position) FROM information_schema.columns \
             WHERE table_schema = 'read_models' AND table_name = $1 AND is_generated = 'NEVER'",
        )
        .bind(name)
        .fetch_one(&mut *postgres)
        .await?;
        let sql = format!("COPY read_models.{name} ({columns}) TO STDOUT");
        let chunks: Vec<bytes::Bytes> = postgres.copy_out_raw(&sql).await?.try_collect().await?;
        Ok(Self { name, columns, rows: chunks.concat() })
    }
}

/// Returns the seconds of the copy.
async fn copy(postgres: &mut PgConnection, tables: &[Finished]) -> Result<f64> {
    postgres.execute("DROP SCHEMA IF EXISTS copied CASCADE; CREATE SCHEMA copied").await?;
    for Finished { name, .. } in tables {
        let sql = format!("CREATE TABLE copied.{name} (LIKE read_models.{name} INCLUDING ALL)");
        postgres.execute(sql.as_str()).await?;
    }
    postgres.execute("CHECKPOINT").await?;
    let started = Instant::now();
    for Finished { name, columns, rows } in tables {
        let sql = format!("COPY copied.{name} ({columns}) FROM STDIN");
        let mut target = postgres.copy_in_raw(&sql).await?;
        target.send(rows.as_slice()).await?;
        target.finish().await?;
    }
    Ok(started.elapsed().as_secs_f64())
}

/// Returns the seconds of the rebuild.
fn rebuild(binary: &Path, url: &str) -> Result<f64> {
    let directory = TempDir::new()?;
    let started = Instant::now();
    let status = Command::new(binary)
        .args(["projection", "rebuild", "--yes"])
        .env("DATABASE_URL", url)
        .env("AMQP_URL", servers::amqp_url())
        .env("TASKLEDGER_DATA_DIR", directory.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    ensure!(status.success(), "the rebuild failed: {status}");
    Ok(started.elapsed().as_secs_f64())
}

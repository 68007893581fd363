//! Compares pages of a person's tasks at the query API with the same statement run by pgbench.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};
use http::Method;
use sqlx::{Connection as _, Executor as _, PgConnection};
use tempfile::TempDir;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::ratio::{Ratio, Rounds, Wanted};
use crate::{
    client::Person,
    load,
    system::{Deployment, System},
};

const TASKS: u32 = 1_000_000;
const PEOPLE: usize = 1_000;
/// Number of people who send requests. The tasks of the others only lie between theirs.
const ASKING: usize = 64;
const CONNECTIONS: usize = 16;
const PATH: &str = "/tasks?status=open&sort=due&limit=50";

pub(super) async fn run(rounds: Rounds, binary: &Path) -> Result<()> {
    let system = System::start(Deployment::Servers, binary).await?;
    let people = load::join(&system.front(), ASKING).await?;
    let url = system.database_url().context("no database")?;
    let mut postgres = PgConnection::connect(url).await?;
    fill(&mut postgres, &people).await?;
    let people = load::at(&people, &system.address("query-api")).await?;
    for person in &people {
        let answer = person.send(Method::GET, PATH, None, &[]).await?;
        let page: serde_json::Value = serde_json::from_slice(&answer.body)?;
        ensure!(page["items"].as_array().is_some_and(|items| items.len() == 50), "not a full page");
    }
    let scripts = TempDir::new()?;
    let statement = statement(&mut postgres).await?;
    for (number, person) in people.iter().enumerate() {
        let sql = statement.replace("$1", &format!("'{}'", person.id)).replace("$2", "'open'");
        std::fs::write(scripts.path().join(format!("{number}.sql")), sql + ";\n")?;
    }
    let mut ratio = Ratio::default();
    for _ in 0..rounds.count {
        let limit = pgbench(url, scripts.path(), rounds)?;
        ratio.add(ask(&people, rounds).await?, limit);
    }
    ratio.report("lists of 1,000,000 tasks, 16 conn. | pgbench, 16 clients", "/s", Wanted::AtLeast(0.5));
    postgres.close().await?;
    drop(people);
    system.stop().await
}

async fn fill(postgres: &mut PgConnection, people: &[Arc<Person>]) -> Result<()> {
    let owners: Vec<Uuid> = people
        .iter()
        .map(|person| person.id)
        .chain(std::iter::repeat_with(Uuid::now_v7))
        .take(PEOPLE)
        .collect();
    sqlx::query(
        "INSERT INTO read_models.tasks (id, owner, title, title_sort, description, status, priority, due, due_at, \
         overdue_at, tags, tag_list, search_text, created_at, updated_at, version, position) \
         SELECT gen_random_uuid(), $1[1 + n % $2], 'Task number ' || n, 'task number ' || n, \
         'What has to be done, in a sentence or two, as people write it.', \
         CASE WHEN n / $2 % 4 = 0 THEN 'done' ELSE 'open' END, n % 4, '2030-01-01', d, d + 86400000000, \
         '[\"bench\"]', '', 'task number ' || n, n, n, 1, 0 \
         FROM (SELECT n, 1893456000000000 + (random() * 1e6)::bigint * 86400000000 AS d \
               FROM generate_series(1, $3) AS n) AS rows",
    )
    .bind(owners)
    .bind(i32::try_from(PEOPLE)?)
    .bind(i32::try_from(TASKS)?)
    .execute(&mut *postgres)
    .await?;
    postgres.execute("VACUUM ANALYZE read_models.tasks").await?;
    postgres.execute("CHECKPOINT").await?;
    Ok(())
}

/// The statement that the query API has just sent to PostgreSQL.
async fn statement(postgres: &mut PgConnection) -> Result<String> {
    sqlx::query_scalar(
        "SELECT query FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() \
         AND query LIKE 'SELECT % FROM tasks WHERE owner = $1 %status IN ($2)%ORDER BY due%' LIMIT 1",
    )
    .fetch_optional(postgres)
    .await?
    .context("PostgreSQL has not seen the query API's statement")
}

/// Pages per second of the query API.
async fn ask(people: &[Arc<Person>], rounds: Rounds) -> Result<f64> {
    let count = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let mut workers = JoinSet::new();
    for worker in 0..CONNECTIONS {
        let mine: Vec<_> = people.iter().skip(worker).step_by(CONNECTIONS).cloned().collect();
        let count = count.clone();
        workers.spawn(async move {
            for person in mine.iter().cycle() {
                if started.elapsed() >= rounds.span {
                    break;
                }
                person.send(Method::GET, PATH, None, &[]).await?;
                count.fetch_add(1, Ordering::Relaxed);
            }
            anyhow::Ok(())
        });
    }
    while let Some(worker) = workers.join_next().await {
        worker??;
    }
    Ok(count.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64())
}

/// Transactions per second of pgbench.
fn pgbench(url: &str, scripts: &Path, rounds: Rounds) -> Result<f64> {
    let mut command = Command::new(find_pgbench()?);
    command
        .args(["--no-vacuum", "--protocol=prepared", "--jobs=2"])
        .arg(format!("--client={CONNECTIONS}"))
        .arg(format!("--time={}", rounds.span.as_secs()))
        .env("PGOPTIONS", "-c search_path=read_models");
    for number in 0..ASKING {
        command.arg("--file").arg(scripts.join(format!("{number}.sql")));
    }
    let output = command.arg(url).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let complaint = || format!("pgbench says:\n{text}\n{}", String::from_utf8_lossy(&output.stderr));
    text.lines()
        .find_map(|line| line.strip_prefix("tps = ")?.split(' ').next())
        .with_context(complaint)?
        .parse()
        .with_context(complaint)
}

/// The path of pgbench, from `PATH` or from Debian's directory.
fn find_pgbench() -> Result<PathBuf> {
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let debian = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|version| version.path().join("bin"));
    std::env::split_paths(&on_path)
        .chain(debian)
        .map(|directory| directory.join("pgbench"))
        .find(|file| file.exists())
        .context("pgbench is not here: it comes with PostgreSQL's server or contrib package")
}

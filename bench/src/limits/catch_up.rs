//! Compares the projector's catch-up with a hand-written program that projects only tasks: it reads events, and folds
//! and writes those of each of four partitions at the same time, about 1,000 in one transaction.

use std::{collections::HashMap, time::Instant};

use anyhow::{Context, Result};
use database::{Database, Schema};
use serde_json::Value;
use sqlx::{Connection as _, Executor as _, PgConnection, Row as _};
use tokio::{sync::mpsc, task::JoinSet};
use uuid::Uuid;

use super::ratio::{Ratio, Rounds, Wanted};
use crate::{catch_up, log, servers};

const TASKS: u64 = 100_000;
/// Number of partitions, as the projector has by default.
const PARTITIONS: usize = 4;

pub(super) async fn run(rounds: Rounds) -> Result<()> {
    let database = servers::Database::create().await?;
    let store = event_store::open(&database.url, 8).await?;
    log::fill(&store, TASKS).await?;
    let mut postgres = PgConnection::connect(&database.url).await?;
    postgres.execute("VACUUM ANALYZE event_store.events").await?;
    let mut ratio = Ratio::default();
    for _ in 0..rounds.count {
        empty(&mut postgres, &database.url).await?;
        let limit = by_hand(&mut postgres, &database.url).await?;
        empty(&mut postgres, &database.url).await?;
        ratio.add(catch_up::project(store.clone(), &database.url).await?, limit);
    }
    ratio.report("catch-up, all read models | tasks alone, by hand", "/s", Wanted::AtLeast(0.4));
    postgres.close().await?;
    drop(store);
    database.drop().await
}

/// Empties the read models.
async fn empty(postgres: &mut PgConnection, url: &str) -> Result<()> {
    postgres.execute("DROP SCHEMA IF EXISTS read_models CASCADE").await?;
    let read_models = Database::open(url, Schema::ReadModels, 1).await?;
    read_models.close().await;
    postgres.execute("CHECKPOINT").await?;
    Ok(())
}

/// The changes of one task within one transaction.
#[derive(Default)]
struct Changes {
    created: Option<Value>,
    owner: Uuid,
    title: Option<String>,
    completed_at: Option<i64>,
    first_at: i64,
    last_at: i64,
    version: i64,
    position: i64,
}

/// An event of a task, as it was read.
struct Read {
    task: Uuid,
    position: i64,
    version: i64,
    kind: String,
    at: i64,
    data: Vec<u8>,
}

/// Events per second of the hand-written program. One connection reads, and each partition of the tasks is written over
/// a connection of its own meanwhile.
async fn by_hand(postgres: &mut PgConnection, url: &str) -> Result<f64> {
    let started = Instant::now();
    let (mut partitions, mut writers) = (Vec::new(), JoinSet::new());
    for _ in 0..PARTITIONS {
        let (sender, events) = mpsc::channel(2);
        partitions.push(sender);
        writers.spawn(write_partition(PgConnection::connect(url).await?, events));
    }
    let mut position = 0_i64;
    loop {
        let rows = sqlx::query(
            "SELECT position, stream, version, type, recorded_at, data FROM event_store.events \
             WHERE position > $1 ORDER BY position LIMIT $2",
        )
        .bind(position)
        .bind(i64::try_from(PARTITIONS * 1_000)?)
        .fetch_all(&mut *postgres)
        .await?;
        if rows.is_empty() {
            break;
        }
        let mut parts: Vec<Vec<Read>> = (0..PARTITIONS).map(|_| Vec::new()).collect();
        for row in &rows {
            let stream: &str = row.try_get("stream")?;
            let task: Uuid = stream.strip_prefix("task-").context("not a task")?.parse()?;
            position = row.try_get("position")?;
            parts[usize::from(task.as_bytes()[15]) % PARTITIONS].push(Read {
                task,
                position,
                version: row.try_get("version")?,
                kind: row.try_get("type")?,
                at: row.try_get("recorded_at")?,
                data: row.try_get("data")?,
            });
        }
        for (partition, part) in partitions.iter().zip(parts) {
            partition.send(part).await.context("a writer has failed")?;
        }
    }
    drop(partitions);
    while let Some(writer) = writers.join_next().await {
        writer??;
    }
    Ok(position as f64 / started.elapsed().as_secs_f64())
}

/// Folds the events of a partition into the rows of their tasks, and writes each part in one transaction.
async fn write_partition(mut postgres: PgConnection, mut parts: mpsc::Receiver<Vec<Read>>) -> Result<()> {
    while let Some(events) = parts.recv().await {
        let mut tasks: HashMap<Uuid, Changes> = HashMap::new();
        for event in events {
            let data: Value = serde_json::from_slice(&event.data)?;
            let task = tasks
                .entry(event.task)
                .or_insert_with(|| Changes { first_at: event.at, ..Changes::default() });
            match event.kind.as_str() {
                "task.created" => {
                    task.owner = text(&data, "owner").parse()?;
                    task.title = Some(text(&data, "title").to_owned());
                    task.created = Some(data);
                }
                "task.renamed" => task.title = Some(text(&data, "title").to_owned()),
                "task.completed" => task.completed_at = Some(event.at),
                _ => {}
            }
            task.last_at = event.at;
            task.version = event.version;
            task.position = event.position;
        }
        let mut transaction = postgres.begin().await?;
        let (new, known): (Vec<_>, Vec<_>) = tasks.iter().partition(|(_, task)| task.created.is_some());
        insert(&mut transaction, &new).await?;
        update(&mut transaction, &known).await?;
        transaction.commit().await?;
    }
    Ok(postgres.close().await?)
}

async fn insert(postgres: &mut PgConnection, tasks: &[(&Uuid, &Changes)]) -> Result<()> {
    let of = |name: &'static str| {
        tasks.iter().map(move |(_, task)| task.created.as_ref().map_or("", |data| text(data, name)))
    };
    let titles: Vec<_> = tasks.iter().map(|(_, task)| task.title.as_deref()).collect();
    sqlx::query(
        "INSERT INTO read_models.tasks (id, owner, title, title_sort, description, status, priority, due, due_at, \
         overdue_at, tags, tag_list, search_text, created_at, updated_at, completed_at, version, position) \
         SELECT id, owner, title, lower(title), description, CASE WHEN completed_at IS NULL THEN 'open' ELSE 'done' END, 2, \
         due, 1893456000000000, 1893542400000000, tags, 'bench', lower(title || description), \
         created_at, updated_at, completed_at, version, position \
         FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::bigint[], \
         $9::bigint[], $10::bigint[], $11::bigint[]) \
         AS n (id, owner, title, description, due, tags, created_at, updated_at, completed_at, version, position)",
    )
    .bind(tasks.iter().map(|(id, _)| **id).collect::<Vec<_>>())
    .bind(tasks.iter().map(|(_, task)| task.owner).collect::<Vec<_>>())
    .bind(titles)
    .bind(of("description").collect::<Vec<_>>())
    .bind(of("due").collect::<Vec<_>>())
    .bind(vec![r#"["bench"]"#; tasks.len()])
    .bind(tasks.iter().map(|(_, task)| task.first_at).collect::<Vec<_>>())
    .bind(tasks.iter().map(|(_, task)| task.last_at).collect::<Vec<_>>())
    .bind(tasks.iter().map(|(_, task)| task.completed_at).collect::<Vec<_>>())
    .bind(tasks.iter().map(|(_, task)| task.version).collect::<Vec<_>>())
    .bind(tasks.iter().map(|(_, task)| task.position).collect::<Vec<_>>())
    .execute(postgres)
    .await?;
    Ok(())
}

async fn update(postgres: &mut PgConnection, tasks: &[(&Uuid, &Changes)]) -> Result<()> {
    sqlx::query(
        "UPDATE read_models.tasks t SET title = coalesce(n.title, t.title), \
         title_sort = coalesce(lower(n.title), t.title_sort), \
         search_text = coalesce(lower(n.title || t.description), t.search_text), \
         status = CASE WHEN n.completed_at IS NULL THEN t.status ELSE 'done' END, \
         completed_at = coalesce(n.completed_at, t.completed_at), \
         updated_at = n.updated_at, version = n.version, position = n.position \
         FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[]) \
         AS n (id, title, completed_at, updated_at, version, position) WHERE t.id = n.id",
    )
    .bind(tasks.iter().map(|(id, _)| **id).collect::<Vec<_>>())
    .bind(tasks.iter().map(|(_, task)| task.title.as_deref()).collect::<Vec<_>>())
    .bind(tasks.iter().map(|(_, task)| task.completed_at).collect::<Vec<_>>())
    .bind(tasks.iter().map(|(_, task)| task.last_at).collect::<Vec<_>>())
    .bind(tasks.iter().map(|(_, task)| task.version).collect::<Vec<_>>())
    .bind(tasks.iter().map(|(_, task)| task.position).collect::<Vec<_>>())
    .execute(postgres)
    .await?;
    Ok(())
}

fn text<'a>(data: &'a Value, name: &str) -> &'a str {
    data[name].as_str().unwrap_or_default()
}

//! Compares commands at the command API with single-row inserts on the same number of connections.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Instant,
};

use anyhow::Result;
use sqlx::{Connection as _, PgConnection};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::ratio::{Ratio, Rounds, Wanted};
use crate::{
    load::{self, Kind},
    servers,
    system::{Deployment, System},
};

const CONNECTIONS: usize = 64;

pub(super) async fn run(rounds: Rounds, binary: &Path) -> Result<()> {
    let (mut alone, mut together) = (Ratio::default(), Ratio::default());
    for _ in 0..rounds.count {
        let limit = by_hand(rounds).await?;
        let mut system = System::start(Deployment::Servers, binary).await?;
        let people = load::join(&system.front(), CONNECTIONS).await?;
        let people = load::at(&people, &system.address("command-api")).await?;
        let figure = load::run(&people, rounds.span, Kind::Commands).await?;
        together.add(figure.rate(), limit);
        // The projector is stopped, since nothing projects the rows of the limit either. Messages wait in its queues.
        system.stop_role("projector")?;
        system.stop_role("query-api")?;
        let figure = load::run(&people, rounds.span, Kind::Commands).await?;
        alone.add(figure.rate(), limit);
        drop(people);
        system.stop().await?;
    }
    alone.report("commands at the command API, 64 conn. | rows, 64 conn.", "/s", Wanted::AtLeast(0.5));
    together.report("  the same while it is projected on the same machine", "/s", Wanted::Known);
    Ok(())
}

/// Rows per second of the hand-written inserts.
async fn by_hand(rounds: Rounds) -> Result<f64> {
    let database = servers::Database::create().await?;
    drop(event_store::open(&database.url, 1).await?);
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(PgConnection::connect(&database.url).await?);
    }
    let position = Arc::new(AtomicI64::new(0));
    let started = Instant::now();
    let mut writers = JoinSet::new();
    for mut connection in connections {
        let position = position.clone();
        writers.spawn(async move {
            while started.elapsed() < rounds.span {
                let id = Uuid::now_v7();
                sqlx::query(
                    "INSERT INTO event_store.events \
                     (position, version, recorded_at, schema_version, id, stream, type, encoding, metadata, data) \
                     VALUES ($1, 1, $2, 1, $3, $4, 'task.created', 'json', $5, $6)",
                )
                .bind(position.fetch_add(1, Ordering::Relaxed) + 1)
                .bind(1_800_000_000_000_000_i64)
                .bind(id)
                .bind(format!("task-{id}"))
                .bind(METADATA)
                .bind(DATA)
                .execute(&mut connection)
                .await?;
            }
            anyhow::Ok(connection)
        });
    }
    while let Some(writer) = writers.join_next().await {
        writer??.close().await?;
    }
    let rate = position.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64();
    database.drop().await?;
    Ok(rate)
}

const METADATA: &str = r#"{"subject":"019a9f3e-0b5c-7d6a-9d0e-1f2a3b4c5d6e","actor":"019a9f3e-0b5c-7d6a-9d0e-1f2a3b4c5d6e","correlation_id":"019a9f3e-0b5c-7d6a-9d0e-1f2a3b4c5d6e","causation_id":"019a9f3e-0b5c-7d6a-9d0e-1f2a3b4c5d6e"}"#;
const DATA: &[u8] = br#"{"owner":"019a9f3e-0b5c-7d6a-9d0e-1f2a3b4c5d6e","title":"Measure twice","description":null,"priority":"high","due":"2030-01-01","tags":["bench"]}"#;

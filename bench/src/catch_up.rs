//! Measures how fast the projector processes a log that it has never seen.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use bus::InProcessBus;
use database::{Database, Schema};
use event_store::EventStore;
use events::PartitionCount;
use projector::AuditKeeping;
use runtime::Background;
use tempfile::TempDir;

use crate::{log, servers, system::Deployment};

/// Fills a log with `count` events, and returns the events per second of a projector that processes them.
pub(crate) async fn alone(deployment: Deployment, count: u64) -> anyhow::Result<f64> {
    let directory = TempDir::new()?;
    let (database, store_url, read_url) = match deployment {
        Deployment::Embedded => {
            let file = |name| Database::file_url(&directory.path().join(name));
            (None, file("events.db"), file("read-models.db"))
        }
        Deployment::Servers => {
            let database = servers::Database::create().await?;
            let url = database.url.clone();
            (Some(database), url.clone(), url)
        }
    };
    let store = event_store::open(&store_url, 8).await?;
    log::fill(&store, count.div_ceil(3)).await?;
    let rate = project(store, &read_url).await?;
    if let Some(database) = database {
        database.drop().await?;
    }
    Ok(rate)
}

/// Projects all of `store` into new read models, and returns the events per second.
pub(crate) async fn project(store: Arc<dyn EventStore>, read_models: &str) -> anyhow::Result<f64> {
    project_and_keep(store, read_models, None).await
}

/// Does the same, and maintains an audit tree at the same time.
pub(crate) async fn project_and_keep(
    store: Arc<dyn EventStore>,
    read_models: &str,
    audit: Option<AuditKeeping>,
) -> anyhow::Result<f64> {
    let read_models = Database::open(read_models, Schema::ReadModels, 8).await?;
    let partitions = PartitionCount::new(4).context("four partitions")?;
    let background = Background::new();
    let head = store.head().await?;
    let started = Instant::now();
    let dependencies =
        projector::Dependencies { store, bus: InProcessBus::new(), read_models: read_models.clone(), audit };
    let _probes = projector::start(projector::Config { partitions }, dependencies, &background).await?;
    let reached = "SELECT coalesce(min(position), 0) AS position FROM checkpoints WHERE partitions = 4";
    loop {
        let row = read_models.fetch_optional(reached, &[]).await?;
        if row.context("no checkpoints")?.unsigned("position")? >= head {
            break;
        }
        if started.elapsed() > Duration::from_secs(600) {
            bail!("the projector has not caught up after ten minutes");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let elapsed = started.elapsed();
    background.shut_down(Duration::from_secs(60)).await;
    read_models.close().await;
    Ok(head as f64 / elapsed.as_secs_f64())
}

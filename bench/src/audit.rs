//! Measures what the audit tree costs the projector, and how fast the whole log is verified compared with reading it.

use std::{path::PathBuf, sync::Arc, time::Instant};

use anyhow::{Context as _, ensure};
use audit_tree::{AuditTree, CheckpointSigner, CheckpointSignerMetrics, SigningKeys};
use clap::Args;
use database::{Database, Schema};
use event_store::{EventStore, StoredEvents};
use projector::AuditKeeping;
use runtime::{Metrics, SystemClock};
use tempfile::TempDir;
use transparency_log::Algorithm;

use crate::{
    catch_up,
    limits::{Ratio, Wanted},
    log, print, servers,
};

#[derive(Debug, Args)]
pub(crate) struct Audit {
    /// Events of the log
    #[arg(long, default_value_t = 300_000)]
    events: u64,
    /// How often each is measured, in turn with its limit
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

impl Audit {
    pub(crate) async fn run(&self) -> anyhow::Result<()> {
        let database = servers::Database::create().await?;
        let store = event_store::open(&database.url, 8).await?;
        log::fill(&store, self.events.div_ceil(3)).await?;
        let directory = TempDir::new()?;
        Ratio::print_head();
        let mut projecting = Ratio::default();
        for round in 0..self.rounds {
            let without = self.project(&store, None).await?;
            let keys = directory.path().join(round.to_string());
            projecting.add(self.project(&store, Some(keys)).await?, without);
        }
        projecting.report("catch-up with the audit tree | without", "/s", Wanted::AtLeast(0.85));
        self.verify(&store, &directory.path().join("verified")).await?;
        drop(store);
        database.drop().await
    }

    /// Events per second of a projector that fills new read models, with a new audit tree if `keys` is the directory
    /// of its keys.
    async fn project(&self, store: &Arc<dyn EventStore>, keys: Option<PathBuf>) -> anyhow::Result<f64> {
        let rows = servers::Database::create().await?;
        let audit = match keys {
            Some(keys) => Some(keeping(&rows.url, keys).await?),
            None => None,
        };
        let rate = catch_up::project_and_keep(Arc::clone(store), &rows.url, audit).await?;
        rows.drop().await?;
        Ok(rate)
    }

    async fn verify(&self, store: &Arc<dyn EventStore>, keys: &std::path::Path) -> anyhow::Result<()> {
        let rows = servers::Database::create().await?;
        let AuditKeeping { tree, keys, origin, clock, .. } = keeping(&rows.url, keys.to_owned()).await?;
        let begun = Instant::now();
        let metrics = CheckpointSignerMetrics::new(&Metrics::new("bench"));
        let mut keeper =
            CheckpointSigner::new(tree.clone(), Arc::clone(store), keys.clone(), origin, clock, metrics);
        while keeper.step().await? {}
        let head = store.head().await?;
        print(&format!("the tree alone: {:.0} events/s", head as f64 / begun.elapsed().as_secs_f64()));
        let origin = tree.newest().await?.context("no tree")?.origin;
        let signers = SigningKeys::read(&keys)?.signers(&origin, Algorithm::Ed25519)?;
        let verifiers: Vec<_> = signers.iter().map(|signer| signer.verifier().clone()).collect();
        let mut ratio = Ratio::default();
        for _ in 0..self.rounds {
            let begun = Instant::now();
            let read = read_all(store).await?;
            let limit = read as f64 / begun.elapsed().as_secs_f64();
            let begun = Instant::now();
            let report = audit_tree::verify(
                store,
                &tree,
                &verifiers,
                &[],
                &audit_tree::KeptRecords::default(),
                |_, _| (),
            )
            .await?;
            ensure!(report.differences.is_empty(), "{:?}", report.differences);
            ensure!(report.events == read, "{read} events were read, {} verified", report.events);
            ratio.add(report.events as f64 / begun.elapsed().as_secs_f64(), limit);
        }
        ratio.report("audit verification | reading the log", "/s", Wanted::AtLeast(0.5));
        rows.drop().await
    }
}

/// Opens an audit tree in the database at `url`.
async fn keeping(url: &str, keys: PathBuf) -> anyhow::Result<AuditKeeping> {
    Ok(AuditKeeping {
        tree: AuditTree::new(Database::open(url, Schema::AuditTree, 4).await?),
        keys,
        origin: "bench.example.org".to_owned(),
        witnesses: Vec::new(),
        clock: Arc::new(SystemClock),
    })
}

/// Reads the log from beginning to end page by page, and counts the events.
async fn read_all(store: &Arc<dyn EventStore>) -> anyhow::Result<u64> {
    let mut log = StoredEvents::new(&**store, i64::MIN, i64::MAX);
    let mut count = 0;
    while let Some(page) = log.next_page().await? {
        count += page.len() as u64;
    }
    Ok(count)
}

//! Starts the role: catches up with the log, then follows the bus, for each partition.

use std::sync::Arc;

use anyhow::Context;
use audit_tree::{CheckpointSigner, CheckpointSignerMetrics};
use axum::Router;
use bus::BusCollector;
use database::WriteProbe;
use event_store::EventStore;
use http_api::{Health, HttpService, LOG, READ_MODELS};
use runtime::{Background, Metrics, Rounds, with_causes};
use tokio_util::sync::CancellationToken;

use crate::{
    config::{AuditKeeping, Config, Dependencies},
    erased_people::forget_the_erased,
    metrics::ProjectorMetrics,
    operator::verify::verify_sample,
    parked_without_keys::retry_with_keys,
    projecting::{
        apply::Applier, checkpoint, fill_grams::fill_grams, log_comparison::LogComparison,
        log_reader::LogReader, ownership::Ownership, readiness::Readiness, worker_context::WorkerContext,
        workers::Workers,
    },
    tuning::Tuning,
};

/// The role's name in metrics and logs.
const ROLE: &str = "projector";

/// The number of tasks, accounts and sessions in one sample.
const SAMPLE: usize = 5;

/// Starts projecting in the `background`. The router answers probes and metrics.
pub async fn start(
    config: Config,
    dependencies: Dependencies,
    background: &Background,
) -> anyhow::Result<HttpService> {
    start_with_tuning(config, Tuning::default(), dependencies, background).await
}

/// Like [`start`], with another tuning.
pub async fn start_with_tuning(
    config: Config,
    tuning: Tuning,
    dependencies: Dependencies,
    background: &Background,
) -> anyhow::Result<HttpService> {
    let Dependencies { store, bus, read_models, audit } = dependencies;
    let metrics = Metrics::new(ROLE);
    BusCollector::register(Arc::clone(&bus), metrics.registry())?;
    let partitions = metrics.gauge(
        "taskledger_projector_partitions",
        "Partitions into which the log is projected, by all projectors together.",
    );
    partitions.set(config.partitions.get().into());
    let applier = Applier::new(read_models.clone(), config.partitions, ProjectorMetrics::new(&metrics));
    checkpoint::load_all(&read_models, config.partitions)
        .await
        .context("cannot read the projector's checkpoints")?;
    if let Some(audit) = audit {
        keep_audit_tree(audit, &store, &metrics, background);
    }
    let identity = LogComparison::new(store.clone(), applier.metrics.clone());
    let readiness = Arc::new(Readiness::new(applier.metrics.clone(), tuning.heartbeat));
    let context = WorkerContext {
        applier: applier.clone(),
        store: store.clone(),
        bus,
        identity: identity.clone(),
        tuning,
        delivered: Arc::default(),
    };
    let workers = Workers::new(context.clone(), background.clone());
    let ownership = Ownership {
        context: context.clone(),
        workers: workers.clone(),
        readiness: readiness.clone(),
        replica: runtime::new_id(),
        stop: background.stop(),
    };
    let writing = WriteProbe::start(read_models, background);
    let reader = LogReader::new(context, workers, readiness.clone(), background.stop());
    background.spawn("ownership of partitions", ownership.run());
    background.spawn("log reader", reader.run());
    look_after_read_models(applier, store, identity.clone(), tuning, background);
    Ok(http_api::with_middleware(Router::new(), ROLE, &metrics, health(readiness, writing, identity)))
}

/// Extends the audit tree with new events of the log, and sends its checkpoints to the witnesses.
fn keep_audit_tree(
    audit: AuditKeeping,
    store: &Arc<dyn EventStore>,
    metrics: &Metrics,
    background: &Background,
) {
    let AuditKeeping { tree, keys, origin, witnesses, clock } = audit;
    for witness in witnesses {
        let pushing = audit_tree::push(tree.clone(), witness, background.stop());
        background.spawn_until_stopped("witness", pushing);
    }
    let metrics = CheckpointSignerMetrics::new(metrics);
    let signer = CheckpointSigner::new(tree, Arc::clone(store), keys, origin, clock, metrics);
    background.spawn("audit tree", signer.run(background.stop()));
}

/// Starts the other background work on the read models.
fn look_after_read_models(
    applier: Applier,
    store: Arc<dyn EventStore>,
    identity: LogComparison,
    tuning: Tuning,
    background: &Background,
) {
    let stop = || background.stop();
    let read_models = applier.read_models.clone();
    background.spawn("count of parked events", count_parked(applier.clone(), tuning, stop()));
    background.spawn("what was erased", forget_the_erased(read_models.clone(), stop()));
    let retrying = retry_with_keys(applier.clone(), Arc::clone(&store), identity, tuning, stop());
    background.spawn_until_stopped("keys that are there again", retrying);
    background.spawn("search index", fill_grams(read_models, tuning, stop()));
    background.spawn("sample", sample(applier, store, tuning, stop()));
}

/// Updates the number of parked events regularly.
async fn count_parked(applier: Applier, tuning: Tuning, stop: CancellationToken) {
    const SQL: &str = "SELECT COUNT(*) AS parked FROM (SELECT 1 FROM parked_events LIMIT 10000) AS counted";
    let mut rounds = Rounds::every(tuning.heartbeat, stop);
    while rounds.next().await {
        match applier.read_models.number(SQL, &[]).await {
            Ok(parked) => applier.metrics.parked.set(runtime::signed(parked)),
            Err(error) => tracing::debug!(error = with_causes(&error), "cannot count what is parked"),
        }
    }
}

/// Compares a few rows with the log regularly, so that a difference is noticed.
async fn sample(applier: Applier, store: Arc<dyn EventStore>, tuning: Tuning, stop: CancellationToken) {
    let mut rounds = Rounds::every(tuning.sample, stop).after_a_pause();
    while rounds.next().await {
        match verify_sample(store.as_ref(), &applier.read_models, SAMPLE).await {
            Ok(report) => {
                let metrics = &applier.metrics;
                let rows = report.rows();
                metrics.sampled.inc_by(rows.iter().map(|(_, rows)| rows).sum());
                metrics.sample_differences.set(runtime::signed(report.differences.len()));
                for difference in report.differences {
                    tracing::error!(difference, "the read models differ from the log");
                }
            }
            Err(error) => tracing::warn!(error = with_causes(&error), "cannot compare a sample with the log"),
        }
    }
}

/// The checks of readiness, without asking any server. Without the bus the log is read, so that is not a reason.
fn health(readiness: Arc<Readiness>, writing: WriteProbe, identity: LogComparison) -> Health {
    Health::new()
        .without_complaint(LOG, move || identity.complaint())
        .without_complaint(READ_MODELS, move || writing.state().err())
        .without_complaint("projection", move || readiness.complaint())
}

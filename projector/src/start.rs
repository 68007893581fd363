//! Starts the role: catch up with the log, then follow the bus, partition by partition.

use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use bus::{Bus, BusCollector, EventConsumer};
use database::Database;
use event_store::EventStore;
use events::PartitionCount;
use service::{Health, Metrics, vital};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    apply::Applier, catch_up::catch_up, checkpoint, decode::sentence, error::ProjectError,
    fill_grams::fill_grams, live::Live, log_identity::LogIdentity, metrics::ProjectorMetrics, pace::Pace,
    verify::verify_sample,
};

/// Tasks, accounts and sessions compared with the log at a time.
const SAMPLE: usize = 5;

/// What an operator decides.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// Into how many partitions the log is projected. May change from one start to the next.
    pub partitions: PartitionCount,
}

/// What the projector works with.
#[derive(Clone)]
pub struct Dependencies {
    /// The log.
    pub store: Arc<dyn EventStore>,
    /// Where new events are announced.
    pub bus: Arc<dyn Bus>,
    /// Where the rows go.
    pub read_models: Database,
}

/// Starts projecting on `tasks` until `stop` is cancelled. The router answers probes and metrics.
///
/// # Errors
/// When the read models or the bus cannot be reached.
pub async fn start(
    config: Config,
    dependencies: Dependencies,
    tasks: &TaskTracker,
    stop: CancellationToken,
) -> anyhow::Result<Router> {
    start_at_pace(config, Pace::default(), dependencies, tasks, stop).await
}

/// As [`start`], at a pace of one's own.
///
/// # Errors
/// As [`start`].
pub async fn start_at_pace(
    config: Config,
    pace: Pace,
    dependencies: Dependencies,
    tasks: &TaskTracker,
    stop: CancellationToken,
) -> anyhow::Result<Router> {
    let Dependencies {
        store,
        bus,
        read_models,
    } = dependencies;
    let metrics = Metrics::new("projector");
    BusCollector::register(Arc::clone(&bus), metrics.registry())?;
    let applier = Applier::new(
        read_models.clone(),
        config.partitions,
        ProjectorMetrics::new(&metrics),
    );
    checkpoint::load_all(&read_models, config.partitions)
        .await
        .context("cannot read the projector's checkpoints")?;
    let identity = LogIdentity::new(store.clone(), applier.metrics.clone());
    let mut consumers = Vec::new();
    for partition in config.partitions.iter() {
        let consumer = bus.consume(config.partitions, partition).await;
        consumers.push((
            partition,
            consumer.context("cannot consume events from the message bus")?,
        ));
    }
    let filling = fill_grams(read_models.clone(), pace, stop.clone());
    let observing = observe(
        applier.clone(),
        store.clone(),
        identity.clone(),
        pace,
        stop.clone(),
    );
    let sampling = sample(applier.clone(), store.clone(), pace, stop.clone());
    let projecting = project(
        applier,
        store.clone(),
        identity.clone(),
        consumers,
        pace,
        tasks.clone(),
        stop.clone(),
    );
    tasks.spawn(filling);
    tasks.spawn(vital(observing, stop.clone()));
    tasks.spawn(vital(sampling, stop.clone()));
    tasks.spawn(vital(projecting, stop));
    Ok(service::shell(
        Router::new(),
        "projector",
        &metrics,
        health(store, bus, read_models, identity),
    ))
}

async fn project(
    applier: Applier,
    store: Arc<dyn EventStore>,
    identity: LogIdentity,
    consumers: Vec<(u16, Box<dyn EventConsumer>)>,
    pace: Pace,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    catch_up(&applier, &store, &identity, pace, &stop).await;
    for (partition, consumer) in consumers {
        let live = Live::new(
            applier.clone(),
            store.clone(),
            identity.clone(),
            partition,
            pace,
            stop.clone(),
        );
        tasks.spawn(vital(live.run(consumer), stop.clone()));
    }
}

/// Keeps the metrics right also where nothing happens or another process is at work, and compares all checkpoints
/// with the log.
async fn observe(
    applier: Applier,
    store: Arc<dyn EventStore>,
    identity: LogIdentity,
    pace: Pace,
    stop: CancellationToken,
) {
    loop {
        if let Err(error) = observe_once(&applier, &store, &identity).await {
            tracing::debug!(error = sentence(&*error), "cannot measure the projection");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pace.heartbeat) => {}
        }
    }
}

/// Compares a few rows with the log again and again, so that somebody notices should they ever differ.
async fn sample(applier: Applier, store: Arc<dyn EventStore>, pace: Pace, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pace.sample) => {}
        }
        match verify_sample(store.as_ref(), &applier.read_models, SAMPLE).await {
            Ok(report) => {
                let metrics = &applier.metrics;
                metrics
                    .sampled
                    .inc_by(report.tasks + report.accounts + report.sessions);
                let differences = i64::try_from(report.differences.len()).unwrap_or(i64::MAX);
                metrics.sample_differences.set(differences);
                for difference in report.differences {
                    tracing::error!(difference, "the read models differ from the log");
                }
            }
            Err(error) => tracing::debug!(error = sentence(&error), "cannot compare a sample with the log"),
        }
    }
}

async fn observe_once(
    applier: &Applier,
    store: &Arc<dyn EventStore>,
    identity: &LogIdentity,
) -> anyhow::Result<()> {
    let checkpoints = checkpoint::load_all(&applier.read_models, applier.partitions).await?;
    match identity.compare(&checkpoints).await {
        // It has been said already.
        Ok(()) | Err(ProjectError::OtherLog) => {}
        Err(error) => return Err(error.into()),
    }
    applier.metrics.head_is(store.head().await?);
    for (partition, point) in applier.partitions.iter().zip(checkpoints) {
        applier.metrics.reached(partition, point.position);
    }
    let parked = applier
        .read_models
        .fetch_optional("SELECT COUNT(*) AS parked FROM parked_events", &[])
        .await?;
    if let Some(row) = parked {
        applier.metrics.parked.set(row.integer("parked")?);
    }
    Ok(())
}

fn health(
    store: Arc<dyn EventStore>,
    bus: Arc<dyn Bus>,
    read_models: Database,
    identity: LogIdentity,
) -> Health {
    Health::new()
        .check("log", move || {
            let complaint = identity.complaint();
            async move { complaint.map_or(Ok(()), Err) }
        })
        .check("read-models", move || {
            let read_models = read_models.clone();
            async move {
                read_models
                    .ping()
                    .await
                    .map_err(|_| "the read models do not answer".to_owned())
            }
        })
        .check("event-store", move || {
            let store = store.clone();
            async move {
                store
                    .head()
                    .await
                    .map(drop)
                    .map_err(|_| "the event store does not answer".to_owned())
            }
        })
        .check("bus", move || {
            let connected = bus.is_connected();
            async move {
                if connected {
                    Ok(())
                } else {
                    Err("not connected to the message bus".to_owned())
                }
            }
        })
}

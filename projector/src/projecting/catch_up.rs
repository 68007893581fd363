//! Brings many partitions up to the end of the log at once, so that the log is read only once. The next page is read
//! and decoded while one is applied.

use std::{collections::BTreeSet, sync::Arc};

use event_store::{EventStore, StoreError};
use runtime::with_causes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    error::ProjectError,
    projecting::{
        apply::{Applier, ApplyError},
        checkpoint::{self, CheckpointMove},
        decode::{Decoded, decode},
        fold::GapPolicy,
        log_comparison::LogComparison,
    },
    tuning::Tuning,
};

/// The tables were projected from another history of the log.
pub(crate) struct OtherLog;

/// Reads and applies all partitions until the end of the log. After a failure it continues from the checkpoints after
/// a pause. For tables without another writer.
///
/// # Errors
/// When the log is replaced meanwhile. Nobody else could make the tables fit the new one.
pub(crate) async fn catch_up(
    applier: &Applier,
    store: &Arc<dyn EventStore>,
    identity: &LogComparison,
    tuning: Tuning,
    stop: &CancellationToken,
) -> Result<(), OtherLog> {
    let mut backoff = tuning.backoff();
    let all: BTreeSet<u16> = applier.partitions.iter().collect();
    loop {
        match catch_up_once(applier, store, identity, &all, tuning, stop).await {
            Ok(()) => return Ok(()),
            Err(ProjectError::OtherLog) => return Err(OtherLog),
            Err(ProjectError::Apply(ApplyError::Fenced)) => {
                tracing::info!("another projector is catching up: going on from where it is");
            }
            Err(error) => {
                applier.metrics.failures.inc();
                tracing::warn!(error = with_causes(&error), "cannot catch up with the log: trying again");
            }
        }
        if !backoff.wait_unless(stop).await {
            return Ok(());
        }
    }
}

/// Reads and applies `partitions` until the end of the log, or the first failure.
pub(crate) async fn catch_up_once(
    applier: &Applier,
    store: &Arc<dyn EventStore>,
    identity: &LogComparison,
    partitions: &BTreeSet<u16>,
    tuning: Tuning,
    stop: &CancellationToken,
) -> Result<(), ProjectError> {
    let mut checkpoints = checkpoint::load_all(&applier.read_models, applier.partitions).await?;
    identity.compare(&checkpoints).await?;
    let positions = partitions.iter().map(|partition| checkpoints[usize::from(*partition)].position);
    let Some(from) = positions.min() else {
        return Ok(());
    };
    let mut pages = read_ahead(store.clone(), from, tuning.page);
    while let Some(page) = pages.recv().await {
        let page = page?;
        let Some(to) = page.last().map(Decoded::point) else {
            continue;
        };
        identity.confirm(&checkpoints, to).await?;
        let moves: Vec<CheckpointMove> = partitions
            .iter()
            .map(|partition| CheckpointMove {
                partition: *partition,
                from: checkpoints[usize::from(*partition)].position,
                to,
            })
            .filter(|step| step.from < to.position)
            .collect();
        let is_new = |event: &Decoded| {
            let partition = applier.partitions.of(event.record.metadata.subject);
            partitions.contains(&partition)
                && event.record.position > checkpoints[usize::from(partition)].position
        };
        let events: Vec<Decoded> = page.into_iter().filter(is_new).collect();
        applier.apply(&events, &moves, GapPolicy::Park).await?;
        for step in moves {
            checkpoints[usize::from(step.partition)] = step.to;
        }
        if stop.is_cancelled() {
            return Ok(());
        }
    }
    Ok(())
}

/// The pages of the log above `after` up to its end.
fn read_ahead(
    store: Arc<dyn EventStore>,
    mut after: u64,
    page: usize,
) -> mpsc::Receiver<Result<Vec<Decoded>, StoreError>> {
    let (sender, receiver) = mpsc::channel(1);
    runtime::spawn("pages read ahead", async move {
        loop {
            let read = store.log_page(after, page).await;
            let (decoded, more) = match read {
                Ok(page) => {
                    after = page.position().unwrap_or(after);
                    let more = page.more;
                    (decode(&*store, page.entries).await, more)
                }
                Err(error) => (Err(error), false),
            };
            let more = more && decoded.is_ok();
            // The receiver is gone when applying has failed or was stopped.
            if sender.send(decoded).await.is_err() || !more {
                return;
            }
        }
    });
    receiver
}

//! Brings all partitions up to the end of the log at once, so that the log is read only once. The next page is
//! read and decoded while the one in hand is applied.

use std::sync::Arc;

use event_store::{EventStore, StoreError};
use events::{LogPoint, RecordedEvent};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    apply::{Applier, ApplyError},
    checkpoint::{self, Move},
    decode::{Decoded, sentence},
    error::ProjectError,
    fold::Holes,
    log_identity::LogIdentity,
    pace::{Backoff, Pace},
};

/// Reads and applies until the end of the log; on any failure from the checkpoints again, after a pause.
pub(crate) async fn catch_up(
    applier: &Applier,
    store: &Arc<dyn EventStore>,
    identity: &LogIdentity,
    pace: Pace,
    stop: &CancellationToken,
) {
    let mut backoff = Backoff::new(pace);
    loop {
        match attempt(applier, store, identity, pace, stop).await {
            Ok(()) => return,
            Err(ProjectError::OtherLog) => {
                if !identity.agreed(stop).await {
                    return;
                }
            }
            Err(ProjectError::Apply(ApplyError::Fenced)) => {
                tracing::info!("another projector is catching up: going on from where it is");
            }
            Err(error) => {
                applier.metrics.failures.inc();
                tracing::warn!(
                    error = sentence(&error),
                    "cannot catch up with the log: trying again"
                );
            }
        }
        if !backoff.pause(stop).await {
            return;
        }
    }
}

async fn attempt(
    applier: &Applier,
    store: &Arc<dyn EventStore>,
    identity: &LogIdentity,
    pace: Pace,
    stop: &CancellationToken,
) -> Result<(), ProjectError> {
    let mut checkpoints = checkpoint::load_all(&applier.read_models, applier.partitions).await?;
    identity.compare(&checkpoints).await?;
    let from = checkpoints.iter().map(|point| point.position).min().unwrap_or(0);
    let mut pages = read_ahead(store.clone(), from, pace.page);
    while let Some(page) = pages.recv().await {
        let page = page?;
        let Some(to) = page.last().map(|event| LogPoint::from(&event.record)) else {
            continue;
        };
        // Pages are read ahead: that the log has the checkpoints now says that the page follows them.
        identity.confirm(&checkpoints).await?;
        let moves: Vec<Move> = applier
            .partitions
            .iter()
            .zip(&checkpoints)
            .filter(|(_, from)| from.position < to.position)
            .map(|(partition, from)| Move {
                partition,
                from: from.position,
                to,
            })
            .collect();
        let is_new = |event: &Decoded| {
            let partition = applier.partitions.of(event.record.metadata.subject);
            event.record.position > checkpoints[usize::from(partition)].position
        };
        let events: Vec<Decoded> = page.into_iter().filter(is_new).collect();
        applier.apply(&events, &moves, Holes::Park).await?;
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
    tokio::spawn(async move {
        loop {
            let read = store.read_all(after, page).await;
            let more = match &read {
                Ok(events) => {
                    after = events.last().map_or(after, |event| event.position);
                    events.len() >= page
                }
                Err(_) => false,
            };
            let decoded = read.map(decode_all);
            // Nobody receives any more once applying has failed or has been stopped.
            if sender.send(decoded).await.is_err() || !more {
                return;
            }
        }
    });
    receiver
}

fn decode_all(events: Vec<RecordedEvent>) -> Vec<Decoded> {
    events.into_iter().map(Decoded::from).collect()
}

//! Applies a batch of events: rows, audit trail and checkpoints in one transaction.

use std::{num::NonZero, sync::Arc};

use database::{Database, DatabaseError, Schema};
use events::{LogPoint, PartitionCount};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    checkpoint::{self, Move},
    decode::{Decoded, sentence},
    fold::{HoleFound, Holes, Parked},
    loading,
    metrics::ProjectorMetrics,
    writing,
};

/// Applies batches of events to the read models.
#[derive(Debug, Clone)]
pub(crate) struct Applier {
    pub(crate) read_models: Database,
    pub(crate) partitions: PartitionCount,
    pub(crate) metrics: ProjectorMetrics,
    turns: Arc<Semaphore>,
}

/// The right to apply a batch now; given back when dropped.
pub(crate) type Turn = Option<OwnedSemaphorePermit>;

/// Why a batch was not applied. Nothing of it was.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApplyError {
    /// Someone else has moved the checkpoint.
    #[error("another projector has moved the checkpoint")]
    Fenced,
    /// An event before one of these is missing; the store has it.
    #[error("events are missing before one of the batch")]
    Hole,
    /// The database could not.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// An event that must be parked because the database does not take what it leads to.
struct Doomed {
    position: u64,
    reason: String,
}

impl Applier {
    pub(crate) fn new(read_models: Database, partitions: PartitionCount, metrics: ProjectorMetrics) -> Self {
        // The database needs as much of a core as a projector does. More partitions at once than can be worked on
        // would only make for smaller batches, and a batch costs the more the fewer events it has.
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self {
            read_models,
            partitions,
            metrics,
            turns: Arc::new(Semaphore::new(cores.div_ceil(2))),
        }
    }

    /// Waits until a batch of one partition may be applied.
    pub(crate) async fn turn(&self) -> Turn {
        // Never closed.
        self.turns.clone().acquire_owned().await.ok()
    }

    /// Applies `events`, which are in order and complete from each `from` to each `to` of `moves`, and moves the
    /// checkpoints. An event that the database does not take is found and parked.
    pub(crate) async fn apply(
        &self,
        events: &[Decoded],
        moves: &[Move],
        holes: Holes,
    ) -> Result<(), ApplyError> {
        let timer = self.metrics.batch_duration.start_timer();
        match self.transact(events, moves, holes, None).await {
            Err(ApplyError::Database(error)) if error.refuses_data() => {
                tracing::warn!(
                    error = sentence(&error),
                    batch.events = events.len(),
                    "the database refuses a batch: applying its events one by one"
                );
                self.apply_each(events, moves, holes).await?;
            }
            result => result?,
        }
        timer.observe_duration();
        self.metrics.applied.inc_by(events.len() as u64);
        for step in moves {
            self.metrics.reached(step.partition, step.to.position);
        }
        Ok(())
    }

    /// Each event in a transaction of its own, so that only the one which the database refuses is parked.
    async fn apply_each(&self, events: &[Decoded], moves: &[Move], holes: Holes) -> Result<(), ApplyError> {
        let mut moves = moves.to_vec();
        for event in events {
            let partition = self.partitions.of(event.record.metadata.subject);
            let Some(whole) = moves.iter_mut().find(|step| step.partition == partition) else {
                continue;
            };
            let position = event.record.position;
            let step = [Move {
                to: LogPoint::from(&event.record),
                ..*whole
            }];
            let one = std::slice::from_ref(event);
            match self.transact(one, &step, holes, None).await {
                Err(ApplyError::Database(error)) if error.refuses_data() => {
                    let doomed = Doomed {
                        position,
                        reason: format!("the database refuses it: {}", sentence(&error)),
                    };
                    self.transact(one, &step, holes, Some(doomed)).await?;
                }
                result => result?,
            }
            whole.from = position;
        }
        moves.retain(|step| step.from < step.to.position);
        if moves.is_empty() {
            Ok(())
        } else {
            self.transact(&[], &moves, holes, None).await
        }
    }

    async fn transact(
        &self,
        events: &[Decoded],
        moves: &[Move],
        holes: Holes,
        doomed: Option<Doomed>,
    ) -> Result<(), ApplyError> {
        let mut tx = self.read_models.begin().await?;
        for step in moves {
            if !checkpoint::advance(&mut tx, self.partitions, *step).await? {
                return Err(ApplyError::Fenced);
            }
        }
        if !events.is_empty() {
            let mut fold = loading::load(&self.read_models, &mut tx, events).await?;
            for event in events {
                let doomed = doomed
                    .as_ref()
                    .filter(|doomed| doomed.position == event.record.position);
                let reason = doomed.map(|doomed| doomed.reason.as_str());
                fold.take(event, reason, holes)
                    .map_err(|HoleFound| ApplyError::Hole)?;
            }
            report(&fold.newly_parked);
            writing::audit(&mut tx, events).await?;
            writing::write(&mut tx, fold).await?;
        }
        // Signals name no tables: those of tables that are still being built would be taken for the live ones'.
        if self.read_models.schema() == Schema::ReadModels {
            for step in moves {
                checkpoint::signal(&mut tx, self.partitions, *step);
            }
        }
        tx.commit().await?;
        Ok(())
    }
}

fn report(parked: &[Parked]) {
    for Parked { record, reason } in parked {
        tracing::error!(
            event.position = record.position,
            event.stream = %record.stream,
            event.version = record.version,
            event.type = record.kind,
            reason,
            "an event cannot be projected and is parked"
        );
    }
}

//! Applies a batch of events: rows, audit trail and checkpoints, in one transaction.

use std::{num::NonZero, sync::Arc, time::Duration};

use database::{Database, DatabaseError, Schema};
use events::PartitionCount;
use runtime::with_causes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    metrics::ProjectorMetrics,
    projecting::{
        checkpoint::{self, CheckpointMove},
        decode::Decoded,
        fold::{GapPolicy, HoleFound, Parked},
        loading, writing,
    },
};

/// The longest turn. A batch that waits for a lock or a slow database then lets others begin.
const MAX_TURN: Duration = Duration::from_millis(50);

/// How long a batch waits for a locked checkpoint before it lets others continue and tries again.
pub(crate) const LOCK_TIMEOUT: Duration = Duration::from_secs(2);

/// The time limit of a transaction, which is tried again afterwards.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Debug, Clone)]
pub(crate) struct Applier {
    pub(crate) read_models: Database,
    pub(crate) partitions: PartitionCount,
    pub(crate) metrics: ProjectorMetrics,
    turns: Arc<Semaphore>,
}

/// The permit to apply a batch; released when dropped.
pub(crate) type Turn = Option<OwnedSemaphorePermit>;

/// Does `work` with the permit `turn`, which is released at the end of the work, or earlier when that takes long.
pub(crate) async fn in_turn<T>(turn: Turn, work: impl Future<Output = T>) -> T {
    tokio::pin!(work);
    let quick = tokio::time::timeout(MAX_TURN, &mut work).await;
    drop(turn);
    match quick {
        Ok(done) => done,
        Err(_) => work.await,
    }
}

/// Why a batch was not applied. None of it was.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApplyError {
    #[error("another projector has moved the checkpoint")]
    Fenced,
    #[error("the checkpoint is locked by another transaction")]
    Blocked,
    #[error("the transaction took too long")]
    Late,
    /// An event before one of these is missing; the store has it.
    #[error("events are missing before one of the batch")]
    Hole,
    #[error(transparent)]
    Database(DatabaseError),
}

impl From<DatabaseError> for ApplyError {
    fn from(error: DatabaseError) -> Self {
        if is_lock_timeout(&error) { Self::Blocked } else { Self::Database(error) }
    }
}

/// An event that must be parked, because the database refuses its result.
struct ForcedPark {
    position: u64,
    reason: String,
}

impl Applier {
    pub(crate) fn new(read_models: Database, partitions: PartitionCount, metrics: ProjectorMetrics) -> Self {
        // The database needs as much of a core as a projector does. Applying more partitions at once would only make
        // smaller batches, and many small batches cost more.
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self { read_models, partitions, metrics, turns: Arc::new(Semaphore::new(cores.div_ceil(2))) }
    }

    /// Waits until a batch of one partition may be applied.
    pub(crate) async fn turn(&self) -> Turn {
        // The semaphore is never closed.
        self.turns.clone().acquire_owned().await.ok()
    }

    /// Applies `events`, which must be in order and complete from each `from` to each `to` of `moves`, and moves the
    /// checkpoints. An event that the database refuses is found and parked.
    pub(crate) async fn apply(
        &self,
        events: &[Decoded],
        moves: &[CheckpointMove],
        gaps: GapPolicy,
    ) -> Result<(), ApplyError> {
        let timer = self.metrics.batch_duration.start_timer();
        match self.transact(events, moves, gaps, None).await {
            Err(ApplyError::Database(error)) if error.refuses_data() => {
                tracing::warn!(
                    error = with_causes(&error),
                    batch.events = events.len(),
                    "the database refuses a batch: applying its events one by one"
                );
                self.apply_each(events, moves, gaps).await?;
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

    /// Applies each event in its own transaction, so that only the refused one is parked.
    async fn apply_each(
        &self,
        events: &[Decoded],
        moves: &[CheckpointMove],
        gaps: GapPolicy,
    ) -> Result<(), ApplyError> {
        let mut moves = moves.to_vec();
        for event in events {
            let partition = self.partitions.of(event.record.metadata.subject);
            let Some(whole) = moves.iter_mut().find(|step| step.partition == partition) else {
                continue;
            };
            let position = event.record.position;
            let step = [CheckpointMove { to: event.point(), ..*whole }];
            let one = std::slice::from_ref(event);
            match self.transact(one, &step, gaps, None).await {
                Err(ApplyError::Database(error)) if error.refuses_data() => {
                    let forced = ForcedPark {
                        position,
                        reason: format!("the database refuses it: {}", with_causes(&error)),
                    };
                    self.transact(one, &step, gaps, Some(forced)).await?;
                }
                result => result?,
            }
            whole.from = position;
        }
        moves.retain(|step| step.from < step.to.position);
        if moves.is_empty() { Ok(()) } else { self.transact(&[], &moves, gaps, None).await }
    }

    async fn transact(
        &self,
        events: &[Decoded],
        moves: &[CheckpointMove],
        gaps: GapPolicy,
        forced: Option<ForcedPark>,
    ) -> Result<(), ApplyError> {
        let transaction = self.transaction(events, moves, gaps, forced);
        let result = tokio::time::timeout(TRANSACTION_TIMEOUT, transaction).await;
        result.unwrap_or(Err(ApplyError::Late))
    }

    async fn transaction(
        &self,
        events: &[Decoded],
        moves: &[CheckpointMove],
        gaps: GapPolicy,
        forced: Option<ForcedPark>,
    ) -> Result<(), ApplyError> {
        let mut tx = self.read_models.begin_with_lock_timeout(LOCK_TIMEOUT).await?;
        for step in moves {
            if !checkpoint::advance(&mut tx, self.partitions, *step).await? {
                return Err(ApplyError::Fenced);
            }
        }
        if !events.is_empty() {
            let mut fold = loading::load(&self.read_models, &mut tx, events).await?;
            for event in events {
                let forced = forced.as_ref().filter(|forced| forced.position == event.record.position);
                let reason = forced.map(|forced| forced.reason.as_str());
                fold.take(event, reason, gaps).map_err(|HoleFound| ApplyError::Hole)?;
            }
            self.report(&fold.newly_parked);
            writing::audit(&mut tx, events, &fold.erased).await?;
            writing::write(&mut tx, fold).await?;
        }
        // Signals do not name tables: signals about tables that are being built would be mistaken for those of the
        // live ones.
        if self.read_models.schema() == Schema::ReadModels {
            for step in moves {
                checkpoint::signal(&mut tx, self.partitions, *step);
            }
        }
        tx.commit().await?;
        Ok(())
    }

    fn report(&self, parked: &[Parked]) {
        for Parked { record, cause, reason } in parked {
            self.metrics.parked(*cause);
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
}

/// Whether the error means that a lock was not available in time.
pub(crate) fn is_lock_timeout(error: &DatabaseError) -> bool {
    matches!(error, DatabaseError::Sql(sqlx::Error::Database(error)) if error.code().as_deref() == Some("55P03"))
}

//! Rebuilds the read models beside those in use, and replaces them.
//!
//! The shadow tables have checkpoints of their own, so an interrupted rebuild continues where it was. They replace
//! the live tables in one transaction, which blocks the projectors and applies the last few events: a reader that has
//! seen a checkpoint never finds older rows afterwards. The old tables are kept for a rollback.

mod dropped_rows;
mod error;
mod generations;
mod operator_state;
mod swap;

use std::{sync::Arc, time::Duration};

use database::Database;
use event_store::{EventStore, has_all};
use events::PartitionCount;
use runtime::Metrics;
use tokio_util::sync::CancellationToken;

use crate::{
    metrics::ProjectorMetrics,
    models::{AUDIT_LOG, Model as _, TASK_HISTORY, for_each_model},
    operator::verify::{Comparison, compare_tables},
    projecting::{
        apply::Applier, catch_up::catch_up, checkpoint, log_comparison::LogComparison,
        unfinished_deletions::finish_deletions,
    },
    tuning::Tuning,
};
pub use dropped_rows::DroppedRows;
pub use error::RebuildError;
use generations::{Generation, Generations, Lock, remove_files};

/// How long the projectors may be blocked by the swap.
const HOLD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the final catch-up may take within the swap.
const FINAL_CATCH_UP_TIMEOUT: Duration = Duration::from_secs(8);

/// How often progress is reported.
const TICK: Duration = Duration::from_millis(200);

/// A rebuild of the read models. There is at most one at a time.
pub struct Rebuild {
    places: Generations,
    store: Arc<dyn EventStore>,
    live: Database,
    partitions: PartitionCount,
    tuning: Tuning,
    longest_hold: Duration,
    accepts_more_parked: bool,
    lock: Lock,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The first position of this run; not 0 when it continues an earlier one.
    pub start: u64,
    /// The position up to which events are projected.
    pub position: u64,
    pub head: u64,
}

impl Rebuild {
    /// Prepares a rebuild of the read models at `url`, which must have been opened with
    /// [`database::Schema::ReadModels`] before and are migrated.
    ///
    /// # Errors
    /// When another rebuild is running, or the read models cannot be opened.
    pub async fn open(
        url: &str,
        store: Arc<dyn EventStore>,
        partitions: PartitionCount,
        tuning: Tuning,
    ) -> Result<Self, RebuildError> {
        let places = Generations::new(url);
        let live = places.open(Generation::Live).await?;
        Ok(Self {
            lock: Lock::take(&places, &live).await?,
            places,
            store,
            live,
            partitions,
            tuning,
            longest_hold: HOLD_TIMEOUT,
            accepts_more_parked: false,
        })
    }

    /// Sets how long projectors may be blocked while rows of SQLite are swapped.
    #[must_use]
    pub const fn with_longest_hold(mut self, longest_hold: Duration) -> Self {
        self.longest_hold = longest_hold;
        self
    }

    /// Sets whether tables may take over in which more streams are parked than in the live ones.
    #[must_use]
    pub const fn accepting_more_parked(mut self, accepts: bool) -> Self {
        self.accepts_more_parked = accepts;
        self
    }

    /// Removes the tables of an interrupted rebuild.
    pub async fn restart(&self) -> Result<(), RebuildError> {
        self.lock.check().await?;
        self.places.remove(&self.live, Generation::Shadow).await
    }

    /// Projects the log into the shadow tables, beginning where an interrupted rebuild stopped. Returns `true` at the
    /// end of the log, `false` when it was stopped before.
    ///
    /// # Errors
    /// When the shadow tables cannot be opened or read; while they or the log are unavailable it tries again. When the
    /// lock of the rebuild is lost.
    pub async fn build(
        &self,
        stop: &CancellationToken,
        tell: impl FnMut(Progress),
    ) -> Result<bool, RebuildError> {
        self.while_locked(self.build_shadow(stop, tell)).await
    }

    async fn build_shadow(
        &self,
        stop: &CancellationToken,
        mut tell: impl FnMut(Progress),
    ) -> Result<bool, RebuildError> {
        let mut shadow = self.places.open(Generation::Shadow).await?;
        if !self.is_of_this_log(&shadow).await? {
            tracing::warn!("an interrupted rebuild came from another history of the log: starting over");
            shadow.close().await;
            self.restart().await?;
            shadow = self.places.open(Generation::Shadow).await?;
            checkpoint::load_all(&shadow, self.partitions).await?;
        }
        operator_state::discarded(&self.live, &shadow, self.store.as_ref()).await?;
        let start = checkpoint::completed(&shadow).await?;
        let applier = self.applier(&shadow);
        let mut progress = Progress { start, position: start, head: self.store.head().await? };
        tell(progress);
        {
            let identity = self.identity(&applier);
            let work = catch_up(&applier, &self.store, &identity, self.tuning, stop);
            tokio::pin!(work);
            loop {
                tokio::select! {
                    caught_up = &mut work => break caught_up?,
                    () = tokio::time::sleep(TICK) => {
                        // An error here will also occur in the work itself.
                        if let (Ok(position), Ok(head)) = (checkpoint::completed(&shadow).await, self.store.head().await) {
                            progress = Progress { position, head, ..progress };
                            tell(progress);
                        }
                    }
                }
            }
        }
        let position = checkpoint::completed(&shadow).await?;
        progress.head = progress.head.max(position);
        tell(Progress { position, ..progress });
        if stop.is_cancelled() && position < progress.head {
            shadow.close().await;
            return Ok(false);
        }
        if shadow.is_postgres() {
            // Without statistics, new tables would be read with bad plans.
            let mut tables = vec![AUDIT_LOG.name, TASK_HISTORY.name];
            for_each_model!(M => tables.push(M::TABLE.name));
            shadow.execute(&format!("ANALYZE {}", tables.join(", ")), &[]).await?;
        }
        shadow.close().await;
        Ok(true)
    }

    /// Compares the live tables with the shadow tables, at positions that both have reached. `progress` gets the number
    /// of rows that were read.
    ///
    /// # Errors
    /// When they cannot be read, or the lock of the rebuild is lost.
    pub async fn compare(&self, progress: impl FnMut(u64)) -> Result<Comparison, RebuildError> {
        self.while_locked(self.compare_shadow(progress)).await
    }

    async fn compare_shadow(&self, progress: impl FnMut(u64)) -> Result<Comparison, RebuildError> {
        let shadow = self.places.open(Generation::Shadow).await?;
        for tables in [&self.live, &shadow] {
            finish_deletions(tables).await?;
        }
        let comparison = compare_tables(&self.live, &shadow, self.partitions, progress).await?;
        shadow.close().await;
        Ok(comparison)
    }

    /// Replaces the live tables by the shadow tables, and keeps the old ones as the previous tables. Returns the
    /// position of the new ones. From when they have caught up with the log, it cannot be stopped.
    ///
    /// # Errors
    /// When it fails or was stopped. Then nothing has changed, except that files may be left.
    pub async fn swap(&self, stop: &CancellationToken) -> Result<u64, RebuildError> {
        self.take_over(Generation::Shadow, stop).await
    }

    /// Checks that there are previous tables, which [`Self::rollback`] needs.
    ///
    /// # Errors
    /// When there are none, or that cannot be found out.
    pub async fn require_previous(&self) -> Result<(), RebuildError> {
        match self.places.exists(&self.live, Generation::Previous).await? {
            true => Ok(()),
            false => Err(RebuildError::NoPrevious),
        }
    }

    /// Makes the previous tables live again, after bringing them up to the state of the live ones, which become the
    /// previous tables. Returns the position of the new ones.
    ///
    /// # Errors
    /// When there are none, or it fails. Then nothing has changed.
    pub async fn rollback(&self) -> Result<u64, RebuildError> {
        self.require_previous().await?;
        self.take_over(Generation::Previous, &CancellationToken::new()).await
    }

    /// Closes the live tables, at the end of a rebuild.
    pub async fn close(&self) {
        self.live.close().await;
    }

    /// Does `work`, which may be dropped at any point, as long as no other rebuild may begin.
    async fn while_locked<T>(
        &self,
        work: impl Future<Output = Result<T, RebuildError>>,
    ) -> Result<T, RebuildError> {
        self.lock.check().await?;
        tokio::select! {
            done = work => done,
            () = self.lock.lost() => Err(RebuildError::LockLost),
        }
    }

    async fn take_over(&self, generation: Generation, stop: &CancellationToken) -> Result<u64, RebuildError> {
        self.lock.check().await?;
        let next = self.places.open(generation).await?;
        if !self.is_of_this_log(&next).await? {
            return Err(RebuildError::OtherLog);
        }
        operator_state::discarded(&self.live, &next, self.store.as_ref()).await?;
        // Most of the work is done while the projectors still run.
        self.while_locked(self.catch_up(&next, stop)).await?;
        if !self.accepts_more_parked {
            operator_state::require_no_more_parked(&self.live, &next).await?;
        }
        let final_catch_up = async {
            // The time counts from when the projectors are blocked.
            match tokio::time::timeout(FINAL_CATCH_UP_TIMEOUT, self.finish_catch_up(&next, stop)).await {
                Ok(result) => result,
                Err(_) => Err(RebuildError::Behind { position: checkpoint::completed(&next).await? }),
            }
        };
        let position = if self.live.is_postgres() {
            let position = swap::schemas(&self.live, generation, final_catch_up).await?;
            swap::drop_old(&self.live).await;
            position
        } else {
            swap::files(&self.places, &self.live, generation, self.longest_hold, final_catch_up).await?
        };
        next.close().await;
        if !self.live.is_postgres() {
            self.places.keep_previous(generation)?;
        }
        Ok(position)
    }

    /// Brings `next` up to the state of the live tables, which do not change meanwhile.
    async fn finish_catch_up(&self, next: &Database, stop: &CancellationToken) -> Result<u64, RebuildError> {
        self.catch_up(next, stop).await?;
        let reached = checkpoint::completed_point(next).await?;
        let position = reached.position;
        // Live tables that are ahead of a restored log must not prevent the rebuild that repairs them.
        let head = self.store.head().await?;
        if position < operator_state::furthest(&self.live).await?.min(head) {
            return Err(RebuildError::Behind { position });
        }
        operator_state::discarded(&self.live, next, self.store.as_ref()).await?;
        operator_state::attempts(&self.live, next).await?;
        operator_state::checkpoints(&self.live, next, reached).await?;
        // Right before the tables change places.
        self.lock.check().await?;
        Ok(position)
    }

    async fn catch_up(&self, next: &Database, stop: &CancellationToken) -> Result<(), RebuildError> {
        let applier = self.applier(next);
        catch_up(&applier, &self.store, &self.identity(&applier), self.tuning, stop).await?;
        match stop.is_cancelled() {
            true => Err(RebuildError::Interrupted),
            false => Ok(()),
        }
    }

    /// Whether all checkpoints of `read_models` name events of the log.
    async fn is_of_this_log(&self, read_models: &Database) -> Result<bool, RebuildError> {
        let checkpoints = checkpoint::load_all(read_models, self.partitions).await?;
        Ok(has_all(&*self.store, &checkpoints).await?)
    }

    fn identity(&self, applier: &Applier) -> LogComparison {
        LogComparison::new(self.store.clone(), applier.metrics.clone())
    }

    fn applier(&self, read_models: &Database) -> Applier {
        let metrics = ProjectorMetrics::new(&Metrics::new("projector"));
        Applier::new(read_models.clone(), self.partitions, metrics)
    }
}

/// Removes the other tables of `live`, which is a SQLite file: the previous ones, and those of an interrupted
/// rebuild.
///
/// # Errors
/// [`RebuildError::AlreadyRunning`] when a rebuild is running; otherwise when a file cannot be removed.
pub(crate) fn remove_others(live: &Database) -> Result<(), RebuildError> {
    let places = Generations::new(live.url());
    // A rebuild that was killed has left the last one.
    let files = [places.file(Generation::Previous), places.file(Generation::Shadow), places.copy()];
    if files.iter().flatten().any(|file| file.exists()) {
        let _lock = places.lock_files()?;
        for file in files.iter().flatten() {
            remove_files(file)?;
        }
    }
    Ok(())
}

//! Starts and stops workers for the partitions that this process owns.

use std::{collections::BTreeSet, sync::Arc};

use runtime::with_causes;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    error::ProjectError,
    projecting::{
        apply::ApplyError, catch_up::catch_up_once, leases, readiness::Readiness,
        worker_context::WorkerContext, workers::Workers,
    },
};

pub(crate) struct Ownership {
    pub(crate) context: WorkerContext,
    pub(crate) workers: Workers,
    pub(crate) readiness: Arc<Readiness>,
    pub(crate) replica: Uuid,
    pub(crate) stop: CancellationToken,
}

impl Ownership {
    /// Claims partitions until it is time to stop, then releases them. The first partitions are caught up together
    /// before they get workers, which may take hours. Partitions that are claimed meanwhile get workers at once.
    pub(crate) async fn run(self) {
        let mut owned = BTreeSet::new();
        self.claim(&mut owned).await;
        let first = owned.clone();
        let mut starting = Box::pin(self.catch_up(first.clone()));
        let mut started = false;
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                () = &mut starting, if !started => started = true,
                () = sleep(leases::RENEWAL) => self.renew(&mut owned).await,
            }
            if started {
                self.workers.run(&owned);
            } else {
                self.workers.run(&owned.difference(&first).copied().collect());
            }
            self.readiness.tick();
        }
        self.release().await;
    }

    /// Claims partitions again, or releases them while this process cannot read the log: another one may be able to.
    async fn renew(&self, owned: &mut BTreeSet<u16>) {
        // On SQLite there is no other process.
        if !self.context.applier.read_models.is_postgres() || !self.readiness.is_cut_off() {
            self.claim(owned).await;
        } else if !owned.is_empty() {
            tracing::warn!("this process cannot read the log, and leaves its partitions to others");
            owned.clear();
            self.readiness.owns(owned);
            self.release().await;
        }
    }

    /// Releases all partitions. If that fails, their leases end soon.
    async fn release(&self) {
        if let Err(error) = leases::release(&self.context.applier.read_models, self.replica).await {
            tracing::debug!(error = with_causes(&error), "cannot give the partitions back");
        }
    }

    /// Claims partitions. If that fails nothing changes: two owners do no harm, because of the checkpoints.
    async fn claim(&self, owned: &mut BTreeSet<u16>) {
        let applier = &self.context.applier;
        match leases::claim(&applier.read_models, applier.partitions, self.replica).await {
            Ok(claimed) => {
                if claimed != *owned {
                    tracing::info!(partitions = ?claimed, "this process projects these partitions");
                }
                *owned = claimed;
                self.readiness.owns(owned);
            }
            Err(error) => {
                tracing::warn!(error = with_causes(&error), "cannot claim partitions: trying again")
            }
        }
    }

    /// Catches up until the end of the log, or until another process works on a partition: then each partition
    /// continues by itself.
    async fn catch_up(&self, partitions: BTreeSet<u16>) {
        let WorkerContext { applier, store, identity, tuning, .. } = &self.context;
        let mut backoff = tuning.backoff();
        loop {
            match catch_up_once(applier, store, identity, &partitions, *tuning, &self.stop).await {
                Ok(()) | Err(ProjectError::Apply(ApplyError::Fenced | ApplyError::Blocked)) => return,
                Err(ProjectError::OtherLog) => {
                    if !identity.agreed(&self.stop).await {
                        return;
                    }
                }
                Err(error) => {
                    applier.metrics.failures.inc();
                    tracing::warn!(error = with_causes(&error), "cannot catch up with the log: trying again");
                    if !backoff.wait_unless(&self.stop).await {
                        return;
                    }
                }
            }
        }
    }
}

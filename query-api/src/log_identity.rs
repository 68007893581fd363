//! Whether the read models come from the log that is there, and whether the log has what a token names. After a restore
//! positions mean other events: a checkpoint then says nothing about what has been projected.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use database::Database;
use event_store::{EventStore, StoreError, agrees};
use events::{ConsistencyToken, LogPoint, PartitionCount};
use tokio::sync::watch;

/// How often the checkpoints are compared with the log.
const COMPARE_EVERY: Duration = Duration::from_secs(1);

/// Compares checkpoints and tokens with the log.
#[derive(Clone)]
pub(crate) struct LogIdentity {
    store: Arc<dyn EventStore>,
    read_models: Database,
    partitions: PartitionCount,
    agrees: Arc<watch::Sender<bool>>,
}

impl LogIdentity {
    pub(crate) fn new(store: Arc<dyn EventStore>, read_models: Database, partitions: PartitionCount) -> Self {
        Self {
            store,
            read_models,
            partitions,
            agrees: Arc::new(watch::Sender::new(true)),
        }
    }

    /// Why nobody can be told that a state is there, if so.
    pub(crate) fn complaint(&self) -> Option<&'static str> {
        (!*self.agrees.borrow())
            .then_some("the read models do not come from this log: run `taskledger restore check --repair`")
    }

    /// Whether the log has the event that `token` names. One that it does not have is never projected.
    pub(crate) async fn has(&self, token: ConsistencyToken) -> Result<bool, StoreError> {
        if token.position == 0 {
            return Ok(true);
        }
        let found = self.store.identify(&[token.position]).await?;
        Ok(found
            .into_iter()
            .all(|found| found.is_some_and(|id| token.may_name(id))))
    }

    /// Whether the log has the event that stands at `point`.
    pub(crate) async fn agrees_with(&self, point: LogPoint) -> Result<bool, StoreError> {
        let agree = agrees(&*self.store, &[point]).await?;
        Ok(agree.into_iter().all(|agrees| agrees))
    }

    /// Compares the checkpoints with the log again and again; never returns.
    pub(crate) async fn watch(self) {
        loop {
            match self.compare().await {
                Ok(agrees) => {
                    let before = self.agrees.send_replace(agrees);
                    if let (true, Some(complaint)) = (before, self.complaint()) {
                        tracing::error!("{complaint}");
                    }
                }
                Err(error) => {
                    tracing::debug!(
                        error = format!("{error:#}"),
                        "cannot compare the read models with the log"
                    );
                }
            }
            tokio::time::sleep(COMPARE_EVERY).await;
        }
    }

    async fn compare(&self) -> anyhow::Result<bool> {
        let checkpoints = read_models::checkpoints(&self.read_models, self.partitions)
            .await
            .context("cannot read the checkpoints")?;
        let points: Vec<LogPoint> = checkpoints.into_iter().map(|(_, point)| point).collect();
        let agree = agrees(&*self.store, &points)
            .await
            .context("cannot ask the log")?;
        Ok(agree.into_iter().all(|agrees| agrees))
    }
}

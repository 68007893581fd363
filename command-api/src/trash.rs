//! Purges tasks that have been in the trash for too long. Any number of replicas may do this.

use std::{sync::Arc, time::Duration};

use database::{Database, DatabaseError};
use events::{TaskId, Timestamp};
use runtime::Clock;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::handling::CommandHandler;

/// The pause between two passes through the whole trash.
const EVERY: Duration = Duration::from_secs(60);
/// The number of tasks that are purged one after the other before a pause, so that people are not held up.
const PAGE: usize = 100;
const REST: Duration = Duration::from_secs(1);

/// The dependencies of emptying the trash.
pub(crate) struct Trash {
    pub(crate) handler: Arc<CommandHandler>,
    /// Where candidates are looked up. The task's own stream decides.
    pub(crate) read_models: Database,
    pub(crate) clock: Arc<dyn Clock>,
    /// How long a task stays in the trash.
    pub(crate) kept_for: Duration,
}

impl Trash {
    /// Passes through the trash repeatedly, until `stop` is cancelled.
    pub(crate) async fn empty(self, stop: CancellationToken) {
        loop {
            match stop.run_until_cancelled(self.round()).await {
                None => return,
                Some(Ok(0)) => {}
                Some(Ok(purged)) => tracing::info!(purged, "tasks were taken out of the trash for good"),
                Some(Err(error)) => {
                    tracing::warn!(%error, "the trash cannot be looked through, trying again in a minute")
                }
            }
            if stop
                .run_until_cancelled(tokio::time::sleep(EVERY))
                .await
                .is_none()
            {
                return;
            }
        }
    }

    /// Passes through all candidates, the oldest first. A task that cannot be purged is skipped until the next pass.
    async fn round(&self) -> Result<u64, DatabaseError> {
        let kept_for = i64::try_from(self.kept_for.as_secs()).unwrap_or(i64::MAX);
        let deleted_before = self.clock.now().plus_seconds(-kept_for);
        let mut purged = 0;
        let mut after = (i64::MIN, Uuid::nil());
        loop {
            let page = self.page(after, deleted_before).await?;
            let Some(last) = page.last() else {
                return Ok(purged);
            };
            after = *last;
            for (_, id) in &page {
                match self.handler.purge(TaskId(*id), deleted_before).await {
                    Ok(happened) => purged += u64::from(happened),
                    Err(error) => {
                        tracing::warn!(%error, task.id = %id, "a task cannot be taken out of the trash, trying again in a minute");
                    }
                }
            }
            tokio::time::sleep(REST).await;
        }
    }

    async fn page(
        &self,
        after: (i64, Uuid),
        deleted_before: Timestamp,
    ) -> Result<Vec<(i64, Uuid)>, DatabaseError> {
        let sql = format!(
            "SELECT deleted_at, id FROM tasks WHERE deleted_at IS NOT NULL AND deleted_at <= $1
                 AND (deleted_at, id) > ($2, $3) ORDER BY deleted_at, id LIMIT {PAGE}"
        );
        let values = [deleted_before.as_micros().into(), after.0.into(), after.1.into()];
        let rows = self.read_models.fetch_all(&sql, &values).await?;
        rows.iter()
            .map(|row| Ok((row.integer("deleted_at")?, row.uuid("id")?)))
            .collect()
    }
}

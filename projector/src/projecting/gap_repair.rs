//! Fills a gap that `gap_detection.rs` has found in the messages of a partition: reads the missing events from the
//! store.

use crate::{
    error::ProjectError,
    projecting::{
        decode::{Decoded, decode},
        fold::GapPolicy,
        partition_consumer::PartitionConsumer,
        worker_context::{FAR, WorkerContext},
    },
};

impl PartitionConsumer {
    /// Reads the events above the checkpoint from the store, at least up to `until`. If there are many, the log
    /// reader does this for all partitions at once.
    pub(super) async fn repair(&mut self, until: u64) -> Result<(), ProjectError> {
        let missing = self.context.store.events_between(self.checkpoint.position, until);
        if missing > FAR {
            return Ok(());
        }
        let mut found = false;
        while self.checkpoint.position < until {
            let WorkerContext { store, identity, tuning, .. } = &self.context;
            let page = store.log_page(self.checkpoint.position, tuning.page).await?;
            let read = decode(&**store, page.entries).await?;
            let Some(to) = read.last().map(Decoded::point) else {
                break;
            };
            identity.confirm(&[self.checkpoint], to).await?;
            let partitions = self.context.applier.partitions;
            let events: Vec<Decoded> = read
                .into_iter()
                .filter(|event| partitions.of(event.record.metadata.subject) == self.partition)
                .collect();
            found |= !events.is_empty();
            self.apply(&events, to, GapPolicy::Park).await?;
        }
        self.repaired(found);
        Ok(())
    }

    pub(super) fn repaired(&self, found: bool) {
        if found {
            self.context.applier.metrics.gaps_repaired.inc();
            tracing::debug!(
                partition = self.partition,
                checkpoint = self.checkpoint.position,
                "read missed events from the log"
            );
        }
    }
}

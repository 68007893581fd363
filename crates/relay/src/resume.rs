//! Finds where the relay resumes, and checks that the log is still the one that it has published.

use anyhow::{Context as _, anyhow};
use event_store::{has_all, head_point};
use events::LogPoint;
use tokio::time::timeout;

use crate::{Relay, partition_sequence::PartitionSequence, publisher::TIMEOUT};

/// A log of at most this many events is published from its beginning when the progress is unknown.
const SHORT_LOG: u64 = 512;

impl Relay {
    /// The place where the relay stopped, if the log still has it. Otherwise the relay resumes at the end of the log.
    /// That is safe, since consumers notice what they have missed and read the store.
    pub(crate) async fn resume(&self) -> anyhow::Result<PartitionSequence> {
        let saved = self.progress.load(self.partitions).await.context("cannot read the relay's progress")?;
        // Progress of a release that did not keep the event's id proves nothing.
        let proves =
            |saved: &PartitionSequence| saved.read_up_to().position == 0 || saved.read_up_to().id.is_some();
        if let Some(sequence) = saved.filter(proves) {
            if self.agrees(sequence.read_up_to()).await? {
                return Ok(sequence);
            }
            self.metrics.restarts.inc();
            tracing::error!(
                event.position = sequence.read_up_to().position,
                "the log is not the one that was published up to here: publishing goes on at its end"
            );
        }
        let head = head_point(&*self.store).await.context("cannot read the log's end")?;
        let start = match self.store.events_between(0, head.position) {
            0..=SHORT_LOG => LogPoint::START,
            _ => head,
        };
        Ok(PartitionSequence::after(self.partitions, start))
    }

    pub(crate) async fn agrees(&self, point: LogPoint) -> anyhow::Result<bool> {
        timeout(TIMEOUT, has_all(&*self.store, &[point]))
            .await
            .context("the event store does not answer")?
            .context("cannot compare the relay's progress with the log")
    }

    /// The error when the log is another one than before. Counts it.
    pub(crate) fn other_log(&self) -> anyhow::Error {
        self.metrics.restarts.inc();
        anyhow!("the log is not the one that was published so far")
    }
}

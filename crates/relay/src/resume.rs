//! Where the relay goes on, and whether the log is still the one that it has published.

use anyhow::{Context as _, anyhow};
use event_store::{agrees, head_point};
use events::LogPoint;
use tokio::time::timeout;

use crate::{Relay, partition_sequence::PartitionSequence, publisher::TIMEOUT};

/// A log that ends up to here is published from its beginning when it is not known how far it was.
const SHORT_LOG: u64 = 512;

impl Relay {
    /// Where it stopped, if the log has that place. If not, or if nobody knows where, it goes on at the end: messages
    /// are hints, and consumers who have not come that far find out and read the store.
    pub(crate) async fn resume(&self) -> anyhow::Result<PartitionSequence> {
        let saved = self
            .progress
            .load(self.partitions)
            .await
            .context("cannot read the relay's progress")?;
        // Progress of a release that did not keep the event's id proves nothing.
        let proves =
            |chain: &PartitionSequence| chain.read_up_to().position == 0 || chain.read_up_to().id.is_some();
        if let Some(chain) = saved.filter(proves) {
            if self.agrees(chain.read_up_to()).await? {
                return Ok(chain);
            }
            self.metrics.restarts.inc();
            tracing::error!(
                event.position = chain.read_up_to().position,
                "the log is not the one that was published up to here: publishing goes on at its end"
            );
        }
        let head = head_point(&*self.store)
            .await
            .context("cannot read the log's end")?;
        let start = if head.position > SHORT_LOG {
            head
        } else {
            LogPoint::START
        };
        Ok(PartitionSequence::after(self.partitions, start))
    }

    pub(crate) async fn agrees(&self, point: LogPoint) -> anyhow::Result<bool> {
        let agree = timeout(TIMEOUT, agrees(&*self.store, &[point]))
            .await
            .context("the event store does not answer")?
            .context("cannot compare the relay's progress with the log")?;
        Ok(agree.into_iter().all(|agrees| agrees))
    }

    /// Counts that the log was found to be another.
    pub(crate) fn other_log(&self) -> anyhow::Error {
        self.metrics.restarts.inc();
        anyhow!("the log is not the one that was published so far")
    }
}

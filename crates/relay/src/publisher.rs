//! Reads the log as it grows and publishes it, while it leads.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use bus::{Bus, EventMessage};
use event_store::{Entry, EventStore, Page, head_point};
use events::{LogPoint, PartitionCount};
use futures::{StreamExt, future::join_all};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    Election, RelayMetrics, RelayProgress,
    election::Leadership,
    lag::Lag,
    metrics::gauge,
    pages::Pages,
    partition_sequence::PartitionSequence,
    revocations,
    sender::{Inlet, batches, sender},
};

/// Progress is saved so long after the first that is not saved. What is published twice after a crash is harmless.
const SAVE_AFTER: Duration = Duration::from_millis(500);
/// How long a database may take to say or save something.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(5);
/// How long a stop waits for what is on its way.
const FAREWELL: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A process whose bus has been away for this long leaves the publishing to one that may have it.
const LONGEST_CUT_OFF: Duration = Duration::from_secs(5);
/// How often a process that is cut off looks whether the bus is there again.
const RECONNECTED_EVERY: Duration = Duration::from_millis(100);
/// A relay that is further behind goes on at the log's end: those who are sent its messages read the log faster than it
/// could send them.
const FAR_BEHIND: u64 = 20_000;

/// Publishes the log.
pub struct Relay {
    /// Where the log is.
    pub store: Arc<dyn EventStore>,
    /// Where it goes.
    pub bus: Arc<dyn Bus>,
    /// How far it has gone.
    pub progress: RelayProgress,
    /// Who may publish.
    pub election: Election,
    /// Into how many partitions.
    pub partitions: PartitionCount,
    /// What it shows of itself.
    pub metrics: RelayMetrics,
}

/// What the leading relay has in hand.
struct Publishing {
    /// Up to where the log is stamped.
    chain: PartitionSequence,
    pages: Pages,
    /// One for each partition.
    inlets: Vec<Inlet>,
    unsaved: bool,
    save_at: Instant,
}

impl Relay {
    /// Stands for election, publishes while it leads and has the bus, and again, until `stop` is cancelled.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            let mut leadership = tokio::select! {
                () = stop.cancelled() => return,
                leadership = self.stand() => leadership,
            };
            tracing::info!("this process publishes the log");
            self.metrics.active.set(1);
            let result = self.serve(&mut leadership, &stop).await;
            self.metrics.active.set(0);
            leadership.release().await;
            match result {
                Ok(()) if stop.is_cancelled() => return,
                Ok(()) => tracing::warn!("lost the lock of the relay: standing for election again"),
                Err(error) => tracing::warn!(error = format!("{error:#}"), "the relay pauses"),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(runtime::jittered(Duration::from_secs(1))) => {}
            }
        }
    }

    /// Waits until elected. Stands for election only while there is a bus to publish to.
    async fn stand(&self) -> Leadership {
        loop {
            while !self.bus.is_connected() {
                tokio::time::sleep(RECONNECTED_EVERY).await;
            }
            tokio::select! {
                leadership = self.election.acquire() => return leadership,
                () = self.cut_off() => {}
            }
        }
    }

    /// Returns when the bus has been away for long.
    async fn cut_off(&self) {
        let mut seen = Instant::now();
        while seen.elapsed() < LONGEST_CUT_OFF {
            if self.bus.is_connected() {
                seen = Instant::now();
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Publishes until `stop` is cancelled, the leadership lost, or the bus away for long.
    async fn serve(&self, leadership: &mut Leadership, stop: &CancellationToken) -> anyhow::Result<()> {
        let chain = timeout(TIMEOUT, self.resume())
            .await
            .context("the databases do not answer")??;
        let (done, finished) = mpsc::unbounded_channel();
        let (inlets, senders): (Vec<_>, Vec<_>) = self
            .partitions
            .iter()
            .map(|_| sender(&self.bus, &self.metrics, &done))
            .unzip();
        let publishing = Publishing {
            pages: Pages::new(chain.clone()),
            chain,
            inlets,
            unsaved: false,
            save_at: Instant::now(),
        };
        let (reached, head) = (
            watch::Sender::new(publishing.chain.read_up_to()),
            watch::Sender::new(0),
        );
        let sending = join_all(senders.into_iter().map(|sender| sender.run()));
        let reading = self.publish(publishing, finished, head.subscribe(), &reached, stop);
        tokio::select! {
            result = reading => result,
            _ = sending => anyhow::bail!("the senders have ended"),
            () = leadership.lost() => Ok(()),
            () = self.cut_off() => anyhow::bail!("the bus is away, and another process may have it"),
            result = self.look(&head, &reached) => result,
        }
    }

    async fn publish(
        &self,
        mut publishing: Publishing,
        mut finished: mpsc::UnboundedReceiver<u64>,
        head: watch::Receiver<u64>,
        reached: &watch::Sender<LogPoint>,
        stop: &CancellationToken,
    ) -> anyhow::Result<()> {
        let start = publishing.chain.read_up_to().position;
        self.metrics.position.set(gauge(start));
        let mut log = self.store.subscribe(start);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(page) = finished.recv() => self.finished(&mut publishing, page),
                () = tokio::time::sleep_until(publishing.save_at), if publishing.unsaved => {
                    self.save(&mut publishing).await;
                }
                page = log.next() => {
                    let page = page.context("the event store ended its subscription")?;
                    // Asked after it was read: it follows in the log that has both. Else messages would say of the
                    // wrong event that it was before them.
                    if !self.agrees(publishing.chain.read_up_to()).await? {
                        return Err(self.other_log());
                    }
                    // At once: what has ended cannot wait for the events to be taken.
                    revocations::broadcast(&*self.bus, page.entries.iter().flatten()).await;
                    let behind = head.borrow().saturating_sub(publishing.chain.read_up_to().position);
                    if behind > FAR_BEHIND {
                        log = self.skip_ahead(&mut publishing).await?;
                    } else if stop.run_until_cancelled(self.hand_in(&mut publishing, page)).await.is_none() {
                        break;
                    }
                    reached.send_replace(publishing.chain.read_up_to());
                }
            }
        }
        // Those on their way may still arrive; no more are handed in.
        let _ = timeout(FAREWELL, async {
            while !publishing.pages.is_idle()
                && let Some(page) = finished.recv().await
            {
                self.finished(&mut publishing, page);
            }
        })
        .await;
        if publishing.unsaved {
            self.save(&mut publishing).await;
        }
        Ok(())
    }

    /// Hands the messages of a page to the senders of their partitions.
    async fn hand_in(&self, publishing: &mut Publishing, page: Page) {
        let mut messages: Vec<Vec<EventMessage>> = Vec::new();
        messages.resize_with(publishing.inlets.len(), Vec::new);
        for entry in page.entries {
            if let Some(message) = self.stamp(&mut publishing.chain, entry) {
                messages[usize::from(message.partition)].push(message);
            }
        }
        let number = publishing.pages.next();
        let batches: Vec<_> = messages
            .into_iter()
            .map(|messages| batches(messages, number))
            .collect();
        let count = batches.iter().map(Vec::len).sum();
        publishing.pages.push(publishing.chain.clone(), count);
        for (inlet, batches) in publishing.inlets.iter_mut().zip(batches) {
            for batch in batches {
                inlet.hand_in(batch).await;
            }
        }
    }

    /// The message of a record, or nothing when it cannot be read: consumers find it in the store.
    fn stamp(&self, chain: &mut PartitionSequence, entry: Entry) -> Option<EventMessage> {
        match entry {
            // Whoever lacks it reads it from the log.
            Ok(event) if event.is_dropped() => {
                chain.stamp(event);
                None
            }
            Ok(event) => Some(chain.stamp(event)),
            Err(unreadable) => {
                tracing::warn!(%unreadable, "the relay passes over a record");
                self.metrics.passed_over.inc();
                chain.pass_over(unreadable.position);
                None
            }
        }
    }

    /// Goes on at the log's end, and tells consumers so: the next message of each partition says that the end was before
    /// it, and whoever has not come that far reads the store.
    async fn skip_ahead(
        &self,
        publishing: &mut Publishing,
    ) -> anyhow::Result<futures::stream::BoxStream<'static, Page>> {
        let head = timeout(TIMEOUT, head_point(&*self.store))
            .await
            .context("the event store does not answer")?
            .context("cannot read the log's end")?;
        let events = head
            .position
            .saturating_sub(publishing.chain.read_up_to().position);
        tracing::warn!(
            events,
            event.position = head.position,
            "the relay is far behind and goes on at the end of the log: consumers read the rest from there"
        );
        self.metrics.skipped.inc_by(events);
        publishing.chain = PartitionSequence::after(self.partitions, head);
        publishing.pages.push(publishing.chain.clone(), 0);
        Ok(self.store.subscribe(head.position))
    }

    fn finished(&self, publishing: &mut Publishing, page: u64) {
        let before = publishing.pages.published().read_up_to();
        publishing.pages.done(page);
        let after = publishing.pages.published().read_up_to();
        if after != before {
            self.metrics.position.set(gauge(after.position));
            if !publishing.unsaved {
                publishing.unsaved = true;
                publishing.save_at = Instant::now() + SAVE_AFTER;
            }
        }
    }

    /// Saves up to where everything is published, or chooses when to try again.
    async fn save(&self, publishing: &mut Publishing) {
        match timeout(TIMEOUT, self.progress.save(publishing.pages.published())).await {
            Ok(Ok(())) => publishing.unsaved = false,
            Ok(Err(error)) => tracing::warn!(%error, "cannot save the relay's progress, trying again"),
            Err(_) => tracing::warn!("the database does not take the relay's progress, trying again"),
        }
        publishing.save_at = Instant::now() + SAVE_AFTER;
    }

    /// Compares with the log now and then; returns only when it is another.
    async fn look(&self, head: &watch::Sender<u64>, reached: &watch::Sender<LogPoint>) -> anyhow::Result<()> {
        let mut lag = Lag::default();
        loop {
            let point = *reached.borrow();
            if let Ok(Ok(now)) = timeout(TIMEOUT, self.store.head()).await {
                head.send_replace(now);
                let published = u64::try_from(self.metrics.position.get()).unwrap_or(0);
                self.metrics.lag.set(gauge(now.saturating_sub(published)));
                let behind = lag.look(Instant::now(), now, published);
                self.metrics.lag_seconds.set(gauge(behind.as_secs()));
            }
            if let Ok(false) = self.agrees(point).await {
                return Err(self.other_log());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

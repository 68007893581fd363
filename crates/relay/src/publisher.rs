//! Reads the log as it grows and publishes it, while this process is the leader.

use std::{pin::pin, sync::Arc, time::Duration};

use anyhow::{Context as _, anyhow};
use bus::{Bus, EventMessage};
use event_store::{Entry, EventStore, Page, head_point};
use events::{LogPoint, PartitionCount};
use futures::{StreamExt, future::join_all};
use runtime::signed;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    Election, RelayMetrics, RelayProgress,
    election::Leadership,
    lag::Lag,
    open_pages::OpenPages,
    partition_sequence::PartitionSequence,
    revocations::{self, Revocations},
    sender::{PartitionQueue, batches, sender},
};

/// How long progress may stay unsaved. Events that are published twice after a crash do no harm.
const SAVE_AFTER: Duration = Duration::from_millis(500);
/// How long a database may take to answer.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(5);
/// How long a shutdown waits for the batches that are being sent, and then for the broadcasts.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);
/// How often the bus and the end of the log are looked at.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// A leader that has had no bus, or could not read the log, for this long gives up the leadership, since another
/// process may have both.
const MAX_DISCONNECTED: Duration = Duration::from_secs(5);
/// How often a process without a bus checks whether the bus is there again.
const RECONNECTED_INTERVAL: Duration = Duration::from_millis(100);
/// A relay that is more events behind than this continues at the end of the log, because consumers read the log faster
/// than it could send them the messages.
const MAX_BEHIND: u64 = 20_000;

/// Publishes the log.
pub struct Relay {
    /// The log.
    pub store: Arc<dyn EventStore>,
    /// The bus on which it is published.
    pub bus: Arc<dyn Bus>,
    /// The saved progress.
    pub progress: RelayProgress,
    /// The election of the process that publishes.
    pub election: Election,
    /// The number of partitions.
    pub partitions: PartitionCount,
    /// The metrics.
    pub metrics: RelayMetrics,
}

/// The state of the active relay.
struct Publishing {
    /// The state up to which the log was read.
    sequence: PartitionSequence,
    pages: OpenPages,
    /// The queue of each partition.
    queues: Vec<PartitionQueue>,
    revocations: Revocations,
    unsaved: bool,
    save_at: Instant,
}

impl Relay {
    /// Waits for the leadership and publishes while it has it and the bus, again and again, until `stop` is cancelled.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            let mut leadership = tokio::select! {
                () = stop.cancelled() => return,
                leadership = self.campaign() => leadership,
            };
            tracing::info!("this process publishes the log");
            self.metrics.active.set(1);
            let result = self.serve(&mut leadership, &stop).await;
            // What lags from now on is told by whoever publishes next.
            for told in [&self.metrics.active, &self.metrics.lag, &self.metrics.lag_seconds] {
                told.set(0);
            }
            leadership.release().await;
            match result {
                Ok(()) if stop.is_cancelled() => return,
                Ok(()) => tracing::warn!("lost the lock of the relay: waiting for it again"),
                Err(error) => tracing::warn!(error = format!("{error:#}"), "the relay pauses"),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(runtime::jittered(Duration::from_secs(1))) => {}
            }
        }
    }

    /// Waits until elected. Takes part in the election only while it has a bus to publish to, and a log to read.
    async fn campaign(&self) -> Leadership {
        loop {
            while !self.bus.is_connected() {
                tokio::time::sleep(RECONNECTED_INTERVAL).await;
            }
            if self.head().await.is_none() {
                tokio::time::sleep(POLL_INTERVAL).await;
                continue;
            }
            tokio::select! {
                leadership = self.election.acquire() => return leadership,
                () = self.disconnected() => {}
            }
        }
    }

    /// The end of the log, if it can be read.
    async fn head(&self) -> Option<u64> {
        timeout(TIMEOUT, self.store.head()).await.ok()?.ok()
    }

    /// Returns when the bus has been away for too long.
    async fn disconnected(&self) {
        let mut seen = Instant::now();
        while seen.elapsed() < MAX_DISCONNECTED {
            if self.bus.is_connected() {
                seen = Instant::now();
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Publishes until `stop` is cancelled, the leadership is lost, or the bus is away for too long.
    async fn serve(&self, leadership: &mut Leadership, stop: &CancellationToken) -> anyhow::Result<()> {
        let sequence = timeout(TIMEOUT, self.resume()).await.context("the databases do not answer")??;
        let (done, finished) = mpsc::unbounded_channel();
        let (queues, senders): (Vec<_>, Vec<_>) =
            self.partitions.iter().map(|_| sender(&self.bus, &self.metrics, &done)).unzip();
        let (revocations, revoked) = revocations::queue();
        let publishing = Publishing {
            pages: OpenPages::new(sequence.clone()),
            sequence,
            queues,
            revocations,
            unsaved: false,
            save_at: Instant::now(),
        };
        let (reached, head) = (watch::Sender::new(publishing.sequence.read_up_to()), watch::Sender::new(0));
        let sending = join_all(senders.into_iter().map(|sender| sender.run()));
        let mut broadcasting = pin!(revocations::run(Arc::clone(&self.bus), revoked));
        let reading = self.publish(publishing, finished, head.subscribe(), &reached, stop);
        let result = tokio::select! {
            result = reading => result,
            _ = sending => Err(anyhow!("the senders have ended")),
            () = &mut broadcasting => anyhow::bail!("the broadcasts have ended"),
            () = leadership.lost() => Ok(()),
            () = self.disconnected() => Err(anyhow!("the bus is away, and another process may have it")),
            result = self.compare(&head, &reached) => result,
        };
        // What waits comes from pages whose events may be saved as published, so that nobody else broadcasts it. The
        // queue was dropped with the reading, so that the broadcasts end.
        let _ = timeout(SHUTDOWN_TIMEOUT, broadcasting).await;
        result
    }

    async fn publish(
        &self,
        mut publishing: Publishing,
        mut finished: mpsc::UnboundedReceiver<u64>,
        head: watch::Receiver<u64>,
        reached: &watch::Sender<LogPoint>,
        stop: &CancellationToken,
    ) -> anyhow::Result<()> {
        let start = publishing.sequence.read_up_to().position;
        self.metrics.position.set(signed(start));
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
                    // Compared after the page was read, so that the page follows in the same log. Otherwise messages
                    // would name a wrong event as the one before them.
                    if !self.agrees(publishing.sequence.read_up_to()).await? {
                        return Err(self.other_log());
                    }
                    publishing.revocations.enqueue(page.entries.iter().flatten());
                    let read_up_to = publishing.sequence.read_up_to().position;
                    let behind = self.store.events_between(read_up_to, *head.borrow());
                    if behind > MAX_BEHIND {
                        log = self.skip_ahead(&mut publishing).await?;
                    } else if stop.run_until_cancelled(self.enqueue(&mut publishing, page)).await.is_none() {
                        break;
                    }
                    reached.send_replace(publishing.sequence.read_up_to());
                }
            }
        }
        // Batches that are being sent may still arrive. No more are added.
        let _ = timeout(SHUTDOWN_TIMEOUT, async {
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

    /// Puts the messages of a page into the queues of their partitions.
    async fn enqueue(&self, publishing: &mut Publishing, page: Page) {
        let mut messages: Vec<Vec<EventMessage>> = Vec::new();
        messages.resize_with(publishing.queues.len(), Vec::new);
        for entry in page.entries {
            if let Some(message) = self.message(&mut publishing.sequence, entry) {
                messages[usize::from(message.partition)].push(message);
            }
        }
        let number = publishing.pages.next();
        let batches: Vec<_> = messages.into_iter().map(|messages| batches(messages, number)).collect();
        let count = batches.iter().map(Vec::len).sum();
        self.push(publishing, count);
        let mut may_wait = true;
        for (queue, batches) in publishing.queues.iter_mut().zip(batches) {
            for batch in batches {
                queue.enqueue(batch, &mut may_wait).await;
            }
        }
    }

    /// The message for a record, or `None` when it cannot be read or was dropped. Consumers find it in the store.
    fn message(&self, sequence: &mut PartitionSequence, entry: Entry) -> Option<EventMessage> {
        match entry {
            Ok(event) if event.is_dropped() => {
                sequence.message(event);
                None
            }
            Ok(event) => Some(sequence.message(event)),
            Err(unreadable) => {
                tracing::warn!(%unreadable, "the relay passes over a record");
                self.metrics.passed_over.inc();
                sequence.skip(unreadable.point());
                None
            }
        }
    }

    /// Continues at the end of the log. The next message of each partition says that it follows the end, so that
    /// consumers which have not reached it read the store.
    async fn skip_ahead(
        &self,
        publishing: &mut Publishing,
    ) -> anyhow::Result<futures::stream::BoxStream<'static, Page>> {
        let head = timeout(TIMEOUT, head_point(&*self.store))
            .await
            .context("the event store does not answer")?
            .context("cannot read the log's end")?;
        let read_up_to = publishing.sequence.read_up_to().position;
        let events = self.store.events_between(read_up_to, head.position);
        tracing::warn!(
            events,
            event.position = head.position,
            "the relay is far behind and goes on at the end of the log: consumers read the rest from there"
        );
        self.metrics.skipped.inc_by(events);
        publishing.sequence = PartitionSequence::after(self.partitions, head);
        self.push(publishing, 0);
        Ok(self.store.subscribe(head.position))
    }

    /// Adds a page with this many batches that ends where the log was read up to. Without batches it may be published
    /// at once.
    fn push(&self, publishing: &mut Publishing, batches: usize) {
        let end = publishing.sequence.clone();
        self.change(publishing, |pages| pages.push(end, batches));
    }

    fn finished(&self, publishing: &mut Publishing, page: u64) {
        self.change(publishing, |pages| pages.done(page));
    }

    /// Changes the open pages. If more of the log is published then, this is counted, and saved soon.
    fn change(&self, publishing: &mut Publishing, change: impl FnOnce(&mut OpenPages)) {
        let before = publishing.pages.published().read_up_to();
        change(&mut publishing.pages);
        let after = publishing.pages.published().read_up_to();
        if after != before {
            self.metrics.position.set(signed(after.position));
            if !publishing.unsaved {
                publishing.unsaved = true;
                publishing.save_at = Instant::now() + SAVE_AFTER;
            }
        }
    }

    /// Saves up to where everything is published, or sets the time of the next attempt.
    async fn save(&self, publishing: &mut Publishing) {
        match timeout(TIMEOUT, self.progress.save(publishing.pages.published())).await {
            Ok(Ok(())) => publishing.unsaved = false,
            Ok(Err(error)) => tracing::warn!(%error, "cannot save the relay's progress, trying again"),
            Err(_) => tracing::warn!("the database does not take the relay's progress, trying again"),
        }
        publishing.save_at = Instant::now() + SAVE_AFTER;
    }

    /// Measures how far the relay is behind. Returns only when the log is not the one that was published, or cannot be
    /// read for too long.
    async fn compare(
        &self,
        head: &watch::Sender<u64>,
        reached: &watch::Sender<LogPoint>,
    ) -> anyhow::Result<()> {
        let mut lag = Lag::default();
        let mut read = Instant::now();
        loop {
            let point = *reached.borrow();
            if let Some(now) = self.head().await {
                read = Instant::now();
                head.send_replace(now);
                let published = u64::try_from(self.metrics.position.get()).unwrap_or(0);
                let events = self.store.events_between(published, now);
                self.metrics.lag.set(signed(events));
                let behind = lag.observe(Instant::now(), now, published);
                self.metrics.lag_seconds.set(signed(behind.as_secs()));
            } else if read.elapsed() >= MAX_DISCONNECTED {
                anyhow::bail!("the log cannot be read, and another process may be able to");
            }
            if let Ok(false) = self.agrees(point).await {
                return Err(self.other_log());
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
}

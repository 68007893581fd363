//! Reads the log as it grows and publishes it, while in office.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use bus::{Bus, EventMessage};
use event_store::{Entry, EventStore, agrees, head_point};
use events::{LogPoint, PartitionCount};
use futures::StreamExt;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{Election, RelayMetrics, RelayProgress, chain::Chain, election::Office, metrics::gauge};

/// Events published at once.
const BATCH: usize = 512;
/// Progress is saved at the latest after so many events …
const SAVE_AFTER_EVENTS: usize = 5_000;
/// … or so long after the first that is not saved. What is published twice after a crash is harmless.
const SAVE_AFTER: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A log that ends up to here is published from its beginning when it is not known how far it was.
const SHORT_LOG: u64 = 512;

const OTHER_LOG: &str = "the log is not the one that was published so far";

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

impl Relay {
    /// Stands for election, publishes while in office, and again, until `stop` is cancelled.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            let mut office = tokio::select! {
                () = stop.cancelled() => return,
                office = self.election.win() => office,
            };
            tracing::info!("this process publishes the log");
            self.metrics.active.set(1);
            let result = self.serve(&mut office, &stop).await;
            self.metrics.active.set(0);
            office.resign().await;
            match result {
                Ok(()) if stop.is_cancelled() => return,
                Ok(()) => tracing::warn!("lost the lock of the relay: standing for election again"),
                Err(error) => tracing::warn!(error = format!("{error:#}"), "the relay pauses"),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(jittered(Duration::from_secs(1))) => {}
            }
        }
    }

    /// Publishes until `stop` is cancelled or the office lost.
    async fn serve(&self, office: &mut Office, stop: &CancellationToken) -> anyhow::Result<()> {
        let chain = self.resume().await?;
        let reached = watch::Sender::new(chain.read_up_to());
        tokio::select! {
            result = self.publish(chain, &reached, stop) => result,
            () = office.lost() => Ok(()),
            result = self.look(&reached) => result,
        }
    }

    /// Where it stopped, if the log has that place. If not, or if nobody knows where, it goes on at the end: messages
    /// are hints, and consumers who have not come that far find out and read the store.
    async fn resume(&self) -> anyhow::Result<Chain> {
        let saved = self
            .progress
            .load(self.partitions)
            .await
            .context("cannot read the relay's progress")?;
        // Progress of a release that did not keep the event's id proves nothing.
        let proves = |chain: &Chain| chain.read_up_to().position == 0 || chain.read_up_to().id.is_some();
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
        Ok(Chain::after(self.partitions, start))
    }

    async fn agrees(&self, point: LogPoint) -> anyhow::Result<bool> {
        let agree = agrees(&*self.store, &[point])
            .await
            .context("cannot compare the relay's progress with the log")?;
        Ok(agree.into_iter().all(|agrees| agrees))
    }

    async fn publish(
        &self,
        mut chain: Chain,
        reached: &watch::Sender<LogPoint>,
        stop: &CancellationToken,
    ) -> anyhow::Result<()> {
        self.metrics.position.set(gauge(chain.read_up_to().position));
        let mut log = self.store.subscribe(chain.read_up_to().position);
        let mut unsaved = 0;
        let mut save_at = Instant::now();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = tokio::time::sleep_until(save_at), if unsaved > 0 => {
                    save_at = self.save(&chain, &mut unsaved).await;
                }
                page = log.next() => {
                    let page = page.context("the event store ended its subscription")?;
                    // Asked after it was read: it follows in the log that has both. Else messages would say of the
                    // wrong event that it was before them.
                    anyhow::ensure!(self.agrees(chain.read_up_to()).await?, OTHER_LOG);
                    if unsaved == 0 {
                        save_at = Instant::now() + SAVE_AFTER;
                    }
                    for batch in batches(page.entries) {
                        let mut ahead = chain.clone();
                        let messages: Vec<_> = batch
                            .into_iter()
                            .filter_map(|entry| self.stamp(&mut ahead, entry))
                            .collect();
                        if !self.deliver(&messages, stop).await {
                            break;
                        }
                        chain = ahead;
                        unsaved += messages.len();
                        self.metrics.published.inc_by(messages.len() as u64);
                        self.metrics.position.set(gauge(chain.read_up_to().position));
                        reached.send_replace(chain.read_up_to());
                    }
                    if unsaved >= SAVE_AFTER_EVENTS {
                        save_at = self.save(&chain, &mut unsaved).await;
                    }
                }
            }
        }
        if unsaved > 0 {
            self.progress
                .save(&chain)
                .await
                .context("cannot save the relay's progress")?;
        }
        Ok(())
    }

    /// The message of a record, or nothing when it cannot be read: consumers find it in the store.
    fn stamp(&self, chain: &mut Chain, entry: Entry) -> Option<EventMessage> {
        match entry {
            Ok(event) => Some(chain.stamp(event)),
            Err(unreadable) => {
                tracing::warn!(%unreadable, "the relay passes over a record");
                self.metrics.passed_over.inc();
                chain.pass_over(unreadable.position);
                None
            }
        }
    }

    /// Publishes `messages`, however often it takes. `false` when `stop` was cancelled first.
    async fn deliver(&self, messages: &[EventMessage], stop: &CancellationToken) -> bool {
        let mut pause = Duration::from_millis(50);
        loop {
            let error = tokio::select! {
                biased;
                result = self.bus.publish(messages) => match result {
                    Ok(()) => return true,
                    Err(error) => error,
                },
                () = stop.cancelled() => return false,
            };
            self.metrics.failures.inc();
            tracing::warn!(%error, events = messages.len(), "cannot publish, trying again");
            tokio::select! {
                () = stop.cancelled() => return false,
                () = tokio::time::sleep(jittered(pause)) => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Saves, and returns when to try again should that have failed.
    async fn save(&self, chain: &Chain, unsaved: &mut usize) -> Instant {
        match self.progress.save(chain).await {
            Ok(()) => *unsaved = 0,
            Err(error) => tracing::warn!(%error, "cannot save the relay's progress, trying again"),
        }
        Instant::now() + SAVE_AFTER
    }

    /// Compares with the log now and then; returns only when it is another.
    async fn look(&self, reached: &watch::Sender<LogPoint>) -> anyhow::Result<()> {
        loop {
            let point = *reached.borrow();
            if let Ok(head) = self.store.head().await {
                self.metrics.lag.set(gauge(head.saturating_sub(point.position)));
            }
            if let Ok(agrees) = self.agrees(point).await {
                anyhow::ensure!(agrees, OTHER_LOG);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

fn batches(mut events: Vec<Entry>) -> impl Iterator<Item = Vec<Entry>> {
    std::iter::from_fn(move || {
        if events.is_empty() {
            return None;
        }
        let rest = events.split_off(events.len().min(BATCH));
        Some(std::mem::replace(&mut events, rest))
    })
}

fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::random_range(0.5..1.0))
}

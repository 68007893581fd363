//! One partition, live: messages from the bus, and the store for whatever the bus has lost.

use std::sync::Arc;

use bus::{EventConsumer, EventMessage};
use event_store::EventStore;
use events::LogPoint;
use futures::FutureExt as _;
use tokio_util::sync::CancellationToken;

use crate::{
    apply::{Applier, ApplyError, Turn},
    checkpoint::{self, Move},
    decode::{Decoded, sentence},
    error::ProjectError,
    fold::Holes,
    log_identity::LogIdentity,
    pace::{Backoff, Pace},
    plan::{Plan, plan},
};

/// The loop of one partition.
pub(crate) struct Live {
    applier: Applier,
    store: Arc<dyn EventStore>,
    identity: LogIdentity,
    partition: u16,
    pace: Pace,
    stop: CancellationToken,
    /// As far as this process knows.
    checkpoint: LogPoint,
    /// Where the log ended at the last heartbeat. What is above may still be on its way.
    seen_head: u64,
}

impl Live {
    pub(crate) fn new(
        applier: Applier,
        store: Arc<dyn EventStore>,
        identity: LogIdentity,
        partition: u16,
        pace: Pace,
        stop: CancellationToken,
    ) -> Self {
        Self {
            applier,
            store,
            identity,
            partition,
            pace,
            stop,
            checkpoint: LogPoint::START,
            seen_head: 0,
        }
    }

    /// Runs until it is stopped, and finishes the batch in hand.
    pub(crate) async fn run(mut self, mut consumer: Box<dyn EventConsumer>) {
        if !self.reload().await {
            return;
        }
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                mut messages = consumer.next(self.pace.batch) => {
                    let turn = self.applier.turn().await;
                    // Whatever has come while the others had theirs goes into the same transaction.
                    let room = self.pace.batch.saturating_sub(messages.len());
                    if let Some(more) = consumer.next(room).now_or_never() {
                        messages.extend(more);
                    }
                    if !self.take(messages, turn).await {
                        return;
                    }
                    consumer.acknowledge().await;
                }
                () = tokio::time::sleep(self.pace.heartbeat) => {
                    if let Err(error) = self.heartbeat().await {
                        self.applier.metrics.failures.inc();
                        tracing::warn!(
                            partition = self.partition,
                            error = sentence(&error),
                            "cannot compare the projection with the log"
                        );
                    }
                }
            }
        }
    }

    /// Applies the messages, as often as it takes, but holds up the others only the first time. `false` when it
    /// is time to stop and they are not applied.
    async fn take(&mut self, mut messages: Vec<EventMessage>, mut turn: Turn) -> bool {
        let partitions = self.applier.partitions;
        messages.retain(|message| {
            message.partitions == partitions
                && partitions.of(message.event.metadata.subject) == self.partition
        });
        messages.sort_unstable_by_key(|message| message.event.position);
        let mut backoff = Backoff::new(self.pace);
        loop {
            let result = self.attempt(&mut messages).await;
            drop(turn.take());
            match result {
                Ok(()) => return true,
                Err(ProjectError::Apply(ApplyError::Fenced)) => {
                    tracing::info!(
                        partition = self.partition,
                        "another projector has moved the checkpoint"
                    );
                }
                Err(ProjectError::OtherLog) => {
                    if !self.identity.agreed(&self.stop).await {
                        return false;
                    }
                }
                Err(error) => {
                    self.applier.metrics.failures.inc();
                    tracing::warn!(
                        partition = self.partition,
                        error = sentence(&error),
                        "cannot apply a batch of events: trying again"
                    );
                    if !backoff.pause(&self.stop).await {
                        return false;
                    }
                }
            }
            if !self.reload().await {
                return false;
            }
        }
    }

    async fn attempt(&mut self, messages: &mut Vec<EventMessage>) -> Result<(), ProjectError> {
        if self.identity.sift(self.checkpoint, messages).await? {
            // What stands in the log at the positions of those that were dropped may have been announced by nobody.
            let head = self.store.head().await?;
            return self.repair(head).await;
        }
        match plan(self.checkpoint.position, messages) {
            Plan::Skip => Ok(()),
            Plan::Apply(messages) => {
                let events: Vec<Decoded> = messages
                    .iter()
                    .map(|message| message.event.clone().into())
                    .collect();
                let to = events
                    .last()
                    .map_or(self.checkpoint, |event| LogPoint::from(&event.record));
                match self.apply(&events, to, Holes::Report).await {
                    Err(ApplyError::Hole) => self.repair(to.position).await,
                    result => Ok(result?),
                }
            }
            Plan::Repair { until } => self.repair(until).await,
        }
    }

    /// Reads from the store what is above the checkpoint, at least up to `until`.
    async fn repair(&mut self, until: u64) -> Result<(), ProjectError> {
        let mut found = false;
        while self.checkpoint.position < until {
            let page = self
                .store
                .read_all(self.checkpoint.position, self.pace.page)
                .await?;
            // Asked after the page was read: it follows the checkpoint in the log that has both.
            self.identity.confirm(&[self.checkpoint]).await?;
            let Some(to) = page.last().map(LogPoint::from) else {
                break;
            };
            let partitions = self.applier.partitions;
            let events: Vec<Decoded> = page
                .into_iter()
                .filter(|event| partitions.of(event.metadata.subject) == self.partition)
                .map(Decoded::from)
                .collect();
            found |= !events.is_empty();
            self.apply(&events, to, Holes::Park).await?;
        }
        if found {
            self.applier.metrics.gaps_repaired.inc();
            tracing::info!(
                partition = self.partition,
                checkpoint = self.checkpoint.position,
                "read missed events from the log"
            );
        }
        Ok(())
    }

    async fn apply(&mut self, events: &[Decoded], to: LogPoint, holes: Holes) -> Result<(), ApplyError> {
        let step = Move {
            partition: self.partition,
            from: self.checkpoint.position,
            to,
        };
        self.applier.apply(events, &[step], holes).await?;
        self.checkpoint = to;
        Ok(())
    }

    /// Without messages: whatever the log had at the last heartbeat must have been projected by now.
    async fn heartbeat(&mut self) -> Result<(), ProjectError> {
        let head = self.store.head().await?;
        let due = std::mem::replace(&mut self.seen_head, head);
        self.applier.metrics.head_is(head);
        // Another projector of this partition may have moved it, or someone may have emptied the read models.
        let Applier {
            read_models,
            partitions,
            ..
        } = &self.applier;
        self.checkpoint = checkpoint::load(read_models, *partitions, self.partition).await?;
        match self.repair(due).await {
            // Another projector has moved on, or another log has been complained about already.
            Err(ProjectError::Apply(ApplyError::Fenced) | ProjectError::OtherLog) => Ok(()),
            result => result,
        }
    }

    /// Reads the checkpoint from the database, as often as it takes. `false` when it is time to stop.
    async fn reload(&mut self) -> bool {
        let mut backoff = Backoff::new(self.pace);
        loop {
            match checkpoint::load(&self.applier.read_models, self.applier.partitions, self.partition).await {
                Ok(checkpoint) => {
                    self.checkpoint = checkpoint;
                    self.applier.metrics.reached(self.partition, checkpoint.position);
                    return true;
                }
                Err(error) => {
                    tracing::warn!(
                        partition = self.partition,
                        error = sentence(&error),
                        "cannot read the checkpoint: trying again"
                    );
                    if !backoff.pause(&self.stop).await {
                        return false;
                    }
                }
            }
        }
    }
}

//! Projects one partition: messages from the bus, segments from the log reader, and events from the store when
//! messages are missing (`gap_detection.rs`, `gap_repair.rs`).

use std::sync::{Arc, atomic::Ordering};

use bus::EventMessage;
use events::LogPoint;
use runtime::with_causes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    error::ProjectError,
    projecting::{
        apply::{Applier, ApplyError, Turn, in_turn},
        checkpoint::{self, CheckpointMove},
        decode::{Decoded, decode},
        fold::GapPolicy,
        gap_detection::{Plan, plan},
        log_segment::{LogSegment, Pending},
        messages::Messages,
        worker_context::WorkerContext,
    },
};

pub(crate) struct PartitionConsumer {
    pub(super) context: WorkerContext,
    pub(super) partition: u16,
    stop: CancellationToken,
    pending: Arc<Pending>,
    /// The checkpoint, as far as this process knows.
    pub(super) checkpoint: LogPoint,
}

enum Work {
    Messages(Vec<EventMessage>),
    LogSegment(LogSegment),
}

impl PartitionConsumer {
    pub(crate) fn new(
        context: WorkerContext,
        partition: u16,
        pending: Arc<Pending>,
        stop: CancellationToken,
    ) -> Self {
        Self { context, partition, stop, pending, checkpoint: LogPoint::START }
    }

    /// Runs until it is stopped, and finishes the current batch.
    pub(crate) async fn run(mut self, mut slices: mpsc::Receiver<LogSegment>) {
        if !self.reload().await {
            return;
        }
        let WorkerContext { applier, bus, tuning, .. } = self.context.clone();
        let mut messages = Messages::new(bus, applier.partitions, self.partition, tuning);
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                Some(slice) = slices.recv() => {
                    let turn = applier.turn().await;
                    let done = self.take(Work::LogSegment(slice), turn).await;
                    self.pending.done();
                    if !done {
                        return;
                    }
                }
                mut batch = messages.next(tuning.batch) => {
                    let turn = applier.turn().await;
                    // Messages that have arrived meanwhile are applied in the same transaction.
                    batch.extend(messages.arrived(tuning.batch.saturating_sub(batch.len())));
                    self.context.delivered.fetch_add(batch.len() as u64, Ordering::Relaxed);
                    if !self.take(Work::Messages(batch), turn).await {
                        return;
                    }
                    messages.acknowledge().await;
                }
            }
        }
    }

    /// Applies it, with retries. Returns `false` when it is time to stop and it was not applied.
    async fn take(&mut self, mut work: Work, turn: Turn) -> bool {
        if let Work::Messages(messages) = &mut work {
            let partitions = self.context.applier.partitions;
            messages.retain(|message| {
                message.partitions == partitions
                    && partitions.of(message.event.metadata.subject) == self.partition
            });
            messages.sort_unstable_by_key(|message| message.event.position);
        }
        let mut backoff = self.context.tuning.backoff();
        let mut turn = turn;
        loop {
            if let Some(moved) = self.pending.moved() {
                self.checkpoint = moved;
            }
            match in_turn(turn.take(), self.attempt(&mut work)).await {
                Ok(()) => return true,
                Err(ProjectError::OtherLog) => {
                    if !self.context.identity.agreed(&self.stop).await {
                        return false;
                    }
                }
                Err(error) => {
                    self.complain(&error);
                    let fenced = matches!(error, ProjectError::Apply(ApplyError::Fenced));
                    if !fenced && !backoff.wait_unless(&self.stop).await {
                        return false;
                    }
                }
            }
            if self.stop.is_cancelled() || !self.reload().await {
                return false;
            }
            turn = self.context.applier.turn().await;
        }
    }

    fn complain(&self, error: &ProjectError) {
        let metrics = &self.context.applier.metrics;
        match error {
            ProjectError::Apply(ApplyError::Fenced) => {
                tracing::info!(partition = self.partition, "another projector has moved the checkpoint")
            }
            ProjectError::Apply(ApplyError::Blocked) => {
                metrics.blocked.inc();
                tracing::warn!(
                    partition = self.partition,
                    "the checkpoint is locked by another transaction: trying again"
                );
            }
            error => {
                metrics.failures.inc();
                tracing::warn!(
                    partition = self.partition,
                    error = with_causes(error),
                    "cannot apply a batch of events: trying again"
                );
            }
        }
    }

    async fn attempt(&mut self, work: &mut Work) -> Result<(), ProjectError> {
        match work {
            Work::Messages(messages) => self.attempt_messages(messages).await,
            Work::LogSegment(slice) => self.attempt_slice(slice).await,
        }
    }

    async fn attempt_messages(&mut self, messages: &mut Vec<EventMessage>) -> Result<(), ProjectError> {
        if self.context.identity.sift(self.checkpoint, messages).await? {
            // The events at the positions of dropped messages may not have been published.
            let head = self.context.store.head().await?;
            return self.repair(head).await;
        }
        match plan(self.checkpoint.position, messages) {
            Plan::Skip => Ok(()),
            Plan::Apply(messages) => {
                // Messages have events as they are stored: they are decrypted here.
                let store = &*self.context.store;
                let sent = messages.iter().map(|message| message.event.clone()).collect();
                let events = decode(store, store.opened(sent).await?).await?;
                let to = events.last().map_or(self.checkpoint, Decoded::point);
                match self.apply(&events, to, GapPolicy::Report).await {
                    Err(ApplyError::Hole) => self.repair(to.position).await,
                    result => Ok(result?),
                }
            }
            Plan::Repair { until } => self.repair(until).await,
        }
    }

    /// Applies a segment of the log reader. If it does not begin at the checkpoint, it will be sent again.
    async fn attempt_slice(&mut self, slice: &mut LogSegment) -> Result<(), ProjectError> {
        if slice.from != self.checkpoint.position {
            let Applier { read_models, partitions, .. } = &self.context.applier;
            self.checkpoint = checkpoint::load(read_models, *partitions, self.partition).await?;
        }
        let reached = self.checkpoint.position;
        if reached < slice.from || reached >= slice.to.position {
            return Ok(());
        }
        match self.context.identity.confirm(&[self.checkpoint], slice.to).await {
            // The log reader reads again.
            Err(ProjectError::LostTail) => return Ok(()),
            result => result?,
        }
        slice.begin_after(reached);
        self.apply(&slice.events, slice.to, GapPolicy::Park).await?;
        self.repaired(!slice.events.is_empty());
        Ok(())
    }

    pub(super) async fn apply(
        &mut self,
        events: &[Decoded],
        to: LogPoint,
        gaps: GapPolicy,
    ) -> Result<(), ApplyError> {
        let step = CheckpointMove { partition: self.partition, from: self.checkpoint.position, to };
        self.context.applier.apply(events, &[step], gaps).await?;
        self.checkpoint = to;
        if tracing::enabled!(tracing::Level::DEBUG) {
            events.iter().for_each(note);
        }
        Ok(())
    }

    /// Reads the checkpoint from the database, with retries. Returns `false` when it is time to stop.
    async fn reload(&mut self) -> bool {
        let Applier { read_models, partitions, metrics, .. } = self.context.applier.clone();
        let mut backoff = self.context.tuning.backoff();
        loop {
            match checkpoint::load(&read_models, partitions, self.partition).await {
                Ok(checkpoint) => {
                    self.checkpoint = checkpoint;
                    metrics.reached(self.partition, checkpoint.position);
                    return true;
                }
                Err(error) => {
                    tracing::warn!(
                        partition = self.partition,
                        error = with_causes(&error),
                        "cannot read the checkpoint: trying again"
                    );
                    if !backoff.wait_unless(&self.stop).await {
                        return false;
                    }
                }
            }
        }
    }
}

/// Logs that an event is projected, so that the trace of its request ends there.
fn note(event: &Decoded) {
    let metadata = &event.record.metadata;
    let trace = metadata.traceparent.as_deref();
    let span = tracing::debug_span!(
        "project",
        trace.id = trace.and_then(http_api::trace_id_of),
        trace.parent = trace.and_then(http_api::parent_id_of),
        request.id = %metadata.correlation_id,
        event.id = %event.record.id,
        event.kind = event.record.kind,
        event.position = event.record.position
    );
    span.in_scope(|| tracing::debug!("projected"));
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bus::InProcessBus;
    use database::Database;
    use events::{PartitionCount, StreamName, TaskId};
    use runtime::Metrics;
    use uuid::Uuid;

    use super::*;
    use crate::{
        metrics::ProjectorMetrics,
        projecting::log_comparison::LogComparison,
        testing::{deleted, read_models},
        tuning::Tuning,
    };

    /// The read models are emptied between two attempts, so that the checkpoint falls behind what was left out.
    #[tokio::test]
    async fn a_segment_that_was_cut_is_not_applied_from_an_earlier_checkpoint() {
        let directory = tempfile::tempdir().unwrap();
        let url = Database::file_url(&directory.path().join("events.db"));
        let store = event_store::open(&url, 2).await.unwrap();
        let stream = StreamName::task(TaskId(Uuid::nil()));
        let written = std::iter::repeat_with(deleted).take(10).collect();
        store.append(&stream, 0, written).await.unwrap();
        let read_models = read_models(directory.path()).await;
        let partitions = PartitionCount::new(1).unwrap();
        checkpoint::load_all(&read_models, partitions).await.unwrap();
        let metrics = ProjectorMetrics::new(&Metrics::new("projector"));
        let context = WorkerContext {
            applier: Applier::new(read_models.clone(), partitions, metrics.clone()),
            identity: LogComparison::new(Arc::clone(&store), metrics),
            store: Arc::clone(&store),
            bus: InProcessBus::new(),
            tuning: Tuning::default(),
            delivered: Arc::default(),
        };
        let page = store.log_page(0, 100).await.unwrap();
        let events = decode(&*store, page.entries).await.unwrap();
        let run = async |sql| read_models.execute(sql, &[]).await.unwrap();
        let mut tx = read_models.begin().await.unwrap();
        checkpoint::raise(&mut tx, 1_i64, 0_i64, events[4].point()).await.unwrap();
        tx.commit().await.unwrap();
        let mut consumer = PartitionConsumer::new(context, 0, Arc::default(), CancellationToken::new());
        let mut segment = LogSegment { from: 0, to: events[9].point(), events };
        run("ALTER TABLE erased_subjects RENAME TO away").await;
        assert!(consumer.reload().await);
        consumer.attempt_slice(&mut segment).await.unwrap_err();
        run("ALTER TABLE away RENAME TO erased_subjects").await;
        run("UPDATE checkpoints SET position = 0, event_id = NULL").await;
        assert!(consumer.reload().await);
        consumer.attempt_slice(&mut segment).await.unwrap();
        assert_eq!(consumer.checkpoint, LogPoint::START, "events were passed over");
    }
}

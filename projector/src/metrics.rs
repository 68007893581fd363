//! The metrics of the projector.

use std::{
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use runtime::{Metrics, metrics, signed};

use crate::projecting::fold::ParkCause;

/// The bounds of the buckets, in seconds.
const BATCH_BUCKETS: [f64; 12] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0];

metrics! {
    #[derive(Debug, Clone)]
    pub(crate) struct ShownMetrics {
        /// Position up to which a partition has been projected.
        checkpoint: gauge_vec("taskledger_projector_checkpoint", &["partition"]);
        /// Positions between a partition's checkpoint and the log's head.
        lag: gauge_vec("taskledger_projector_lag_events", &["partition"]);
        /// Events applied to the read models.
        pub(crate) applied: counter("taskledger_projector_events_applied_total");
        /// Time from the begin to the commit of a batch.
        pub(crate) batch_duration: histogram("taskledger_projector_batch_duration_seconds", &BATCH_BUCKETS);
        /// Attempts to read or apply events that failed and are repeated.
        pub(crate) failures: counter("taskledger_projector_failures_total");
        /// Times that events missed on the bus were read from the store.
        pub(crate) gaps_repaired: counter("taskledger_projector_gaps_repaired_total");
        /// Partitions whose checkpoint names an event that the log does not have; nothing is projected then.
        pub(crate) log_mismatch: gauge("taskledger_projector_log_mismatch");
        /// Messages dropped because the log does not have their event.
        pub(crate) unknown_messages: counter("taskledger_projector_unknown_messages_total");
        /// Events that could not be projected; not counted beyond 10,000.
        pub(crate) parked: gauge("taskledger_projector_parked_events");
        /// Events parked by this process, by cause: the record or the row cannot be read, the key of its person cannot
        /// be used, the event cannot be applied, the database refuses it, or it follows one of these.
        newly_parked: counter_vec("taskledger_projector_parked_total", &["cause"]);
        /// Since when a partition of this process is behind the log; 0 when it is not.
        lag_seconds: gauge_vec("taskledger_projector_lag_seconds", &["partition"]);
        /// Since when the checkpoints have not been compared with the log's head.
        pub(crate) look_age: gauge("taskledger_projector_heartbeat_age_seconds");
        /// Partitions that this process projects.
        pub(crate) owned: gauge("taskledger_projector_leases");
        /// Batches that waited too long for a checkpoint which another transaction had locked.
        pub(crate) blocked: counter("taskledger_projector_blocked_total");
        /// 1 while the message bus can be used; without it the log is read instead.
        pub(crate) bus_connected: gauge("taskledger_projector_bus_connected");
        /// Rows chosen at random that were compared with the log.
        pub(crate) sampled: counter("taskledger_projector_sampled_rows_total");
        /// Differences between the log and the rows of the last sample.
        pub(crate) sample_differences: gauge("taskledger_projector_sample_differences");
    }
}

/// The projector's metrics, and the end of the log that its lag is measured by.
#[derive(Debug, Clone)]
pub(crate) struct ProjectorMetrics {
    shown: ShownMetrics,
    head: Arc<AtomicU64>,
}

impl Deref for ProjectorMetrics {
    type Target = ShownMetrics;

    fn deref(&self) -> &ShownMetrics {
        &self.shown
    }
}

impl ProjectorMetrics {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let shown = ShownMetrics::new(metrics);
        for cause in ParkCause::ALL {
            // Created in advance, because the first increase of a new counter cannot be seen.
            shown.newly_parked.with_label_values(&[cause.name()]);
        }
        Self { shown, head: Arc::default() }
    }

    /// Records the position of the end of the log, which may be lower than before.
    pub(crate) fn head_is(&self, position: u64) {
        self.head.store(position, Ordering::Relaxed);
    }

    pub(crate) fn parked(&self, cause: ParkCause) {
        self.newly_parked.with_label_values(&[cause.name()]).inc();
    }

    /// Records for how many seconds `partition` has been behind.
    pub(crate) fn behind_for(&self, partition: u16, seconds: u64) {
        let labels = [&*partition.to_string()];
        self.lag_seconds.with_label_values(&labels).set(signed(seconds));
    }

    pub(crate) fn reached(&self, partition: u16, position: u64) {
        let head = self.head.load(Ordering::Relaxed).max(position);
        let labels = [&*partition.to_string()];
        self.checkpoint.with_label_values(&labels).set(signed(position));
        self.lag.with_label_values(&labels).set(signed(head - position));
    }
}

//! The metrics of the projector.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};
use runtime::{Metrics, signed};

use crate::projecting::fold::ParkCause;

/// The bounds of the buckets, in seconds.
const BATCH_BUCKETS: [f64; 12] = [
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0,
];

/// The projector's metrics.
#[derive(Debug, Clone)]
pub(crate) struct ProjectorMetrics {
    checkpoint: IntGaugeVec,
    lag: IntGaugeVec,
    pub(crate) applied: IntCounter,
    pub(crate) batch_duration: Histogram,
    pub(crate) failures: IntCounter,
    pub(crate) gaps_repaired: IntCounter,
    pub(crate) log_mismatch: IntGauge,
    pub(crate) unknown_messages: IntCounter,
    pub(crate) parked: IntGauge,
    newly_parked: IntCounterVec,
    lag_seconds: IntGaugeVec,
    pub(crate) look_age: IntGauge,
    pub(crate) owned: IntGauge,
    pub(crate) blocked: IntCounter,
    pub(crate) bus_connected: IntGauge,
    pub(crate) sampled: IntCounter,
    pub(crate) sample_differences: IntGauge,
    head: Arc<AtomicU64>,
}

impl ProjectorMetrics {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let shown = Self {
            checkpoint: metrics.gauge_vec(
                "taskledger_projector_checkpoint",
                "Position up to which a partition has been projected.",
                &["partition"],
            ),
            lag: metrics.gauge_vec(
                "taskledger_projector_lag_events",
                "Positions between a partition's checkpoint and the log's head.",
                &["partition"],
            ),
            applied: metrics.counter(
                "taskledger_projector_events_applied_total",
                "Events applied to the read models.",
            ),
            batch_duration: metrics.histogram(
                "taskledger_projector_batch_duration_seconds",
                "Time from the begin to the commit of a batch.",
                &BATCH_BUCKETS,
            ),
            failures: metrics.counter(
                "taskledger_projector_failures_total",
                "Attempts to read or apply events that failed and are repeated.",
            ),
            gaps_repaired: metrics.counter(
                "taskledger_projector_gaps_repaired_total",
                "Times that events missed on the bus were read from the store.",
            ),
            log_mismatch: metrics.gauge(
                "taskledger_projector_log_mismatch",
                "Partitions whose checkpoint names an event that the log does not have; nothing is projected then.",
            ),
            unknown_messages: metrics.counter(
                "taskledger_projector_unknown_messages_total",
                "Messages dropped because the log does not have their event.",
            ),
            parked: metrics.gauge(
                "taskledger_projector_parked_events",
                "Events that could not be projected; not counted beyond 10,000.",
            ),
            newly_parked: metrics.counter_vec(
                "taskledger_projector_parked_total",
                "Events parked by this process, by cause: the record or the row cannot be read, the key of its person \
                 cannot be used, the event cannot be applied, the database refuses it, or it follows one of these.",
                &["cause"],
            ),
            lag_seconds: metrics.gauge_vec(
                "taskledger_projector_lag_seconds",
                "Since when a partition of this process is behind the log; 0 when it is not.",
                &["partition"],
            ),
            look_age: metrics.gauge(
                "taskledger_projector_heartbeat_age_seconds",
                "Since when the checkpoints have not been compared with the log's head.",
            ),
            owned: metrics.gauge(
                "taskledger_projector_leases",
                "Partitions that this process projects.",
            ),
            bus_connected: metrics.gauge(
                "taskledger_projector_bus_connected",
                "1 while the message bus can be used; without it the log is read instead.",
            ),
            blocked: metrics.counter(
                "taskledger_projector_blocked_total",
                "Batches that waited too long for a checkpoint which another transaction had locked.",
            ),
            sampled: metrics.counter(
                "taskledger_projector_sampled_rows_total",
                "Rows chosen at random that were compared with the log.",
            ),
            sample_differences: metrics.gauge(
                "taskledger_projector_sample_differences",
                "Differences between the log and the rows of the last sample.",
            ),
            head: Arc::default(),
        };
        for cause in ParkCause::ALL {
            // Created in advance, because the first increase of a new counter cannot be seen.
            shown.newly_parked.with_label_values(&[cause.name()]);
        }
        shown
    }

    /// Records the position of the end of the log, which may be lower than before.
    pub(crate) fn head_is(&self, position: u64) {
        self.head.store(position, Ordering::Relaxed);
    }

    /// Counts a parked event.
    pub(crate) fn parked(&self, cause: ParkCause) {
        self.newly_parked.with_label_values(&[cause.name()]).inc();
    }

    /// Records for how many seconds `partition` has been behind.
    pub(crate) fn behind_for(&self, partition: u16, seconds: u64) {
        let labels = [&*partition.to_string()];
        self.lag_seconds.with_label_values(&labels).set(signed(seconds));
    }

    /// Records the checkpoint of `partition`.
    pub(crate) fn reached(&self, partition: u16, position: u64) {
        let head = self.head.load(Ordering::Relaxed).max(position);
        let labels = [&*partition.to_string()];
        self.checkpoint.with_label_values(&labels).set(signed(position));
        self.lag.with_label_values(&labels).set(signed(head - position));
    }
}

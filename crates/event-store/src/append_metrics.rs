//! Metrics of the append task of this process.

use std::{sync::LazyLock, time::Duration};

use runtime::{metrics, process_metrics};

/// The bounds of the buckets of batches, in appends or events.
const SIZES: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1_000.0];
/// The bounds of the buckets of durations, in seconds.
const DURATIONS: &[f64] =
    &[0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

static METRICS: LazyLock<AppendMetrics> = LazyLock::new(|| AppendMetrics::new(process_metrics()));

metrics! {
    struct AppendMetrics {
        /// Appends that were committed at once.
        appends: histogram("taskledger_event_store_append_batch_appends", SIZES);
        /// Events that were committed at once.
        events: histogram("taskledger_event_store_append_batch_events", SIZES);
        /// Time that committing a batch of appends took.
        duration: histogram("taskledger_event_store_append_batch_duration_seconds", DURATIONS);
        /// Batches of appends that were not committed, or of which that is not known.
        failures: counter("taskledger_event_store_append_failures_total");
    }
}

/// A batch was tried.
pub(crate) fn batch(appends: usize, events: usize, took: Duration, is_committed: bool) {
    METRICS.appends.observe(appends as f64);
    METRICS.events.observe(events as f64);
    METRICS.duration.observe(took.as_secs_f64());
    if !is_committed {
        METRICS.failures.inc();
    }
}

/// Creates the metrics with the value zero before the first append.
pub(crate) fn show() {
    LazyLock::force(&METRICS);
}

//! The metrics of the relay.

use prometheus::{IntCounter, IntGauge};
use runtime::Metrics;

/// The relay's metrics.
#[derive(Debug, Clone)]
pub struct RelayMetrics {
    pub(crate) active: IntGauge,
    pub(crate) position: IntGauge,
    pub(crate) lag: IntGauge,
    pub(crate) lag_seconds: IntGauge,
    pub(crate) published: IntCounter,
    pub(crate) failures: IntCounter,
    pub(crate) passed_over: IntCounter,
    pub(crate) skipped: IntCounter,
    pub(crate) restarts: IntCounter,
}

impl RelayMetrics {
    /// Creates and registers the metrics.
    pub fn new(metrics: &Metrics) -> Self {
        Self {
            active: metrics.gauge(
                "taskledger_relay_active",
                "1 while this process is the one that publishes the log.",
            ),
            position: metrics.gauge(
                "taskledger_relay_position",
                "The log's position up to which it is published.",
            ),
            lag: metrics.gauge(
                "taskledger_relay_lag_events",
                "Events in the log that are not published yet.",
            ),
            lag_seconds: metrics.gauge(
                "taskledger_relay_lag_seconds",
                "Since when the relay has not reached an end of the log that it has seen.",
            ),
            published: metrics.counter(
                "taskledger_relay_published_total",
                "Events that the bus has taken over from this process.",
            ),
            failures: metrics.counter(
                "taskledger_relay_publish_failures_total",
                "Attempts to publish that the bus did not confirm.",
            ),
            passed_over: metrics.counter(
                "taskledger_relay_passed_over_total",
                "Events of the log that cannot be published, or that the bus did not take.",
            ),
            skipped: metrics.counter(
                "taskledger_relay_skipped_total",
                "Events left to be read from the log because the relay was far behind.",
            ),
            restarts: metrics.counter(
                "taskledger_relay_log_mismatch_total",
                "Times that the relay went on elsewhere because the log was not the one that it had published.",
            ),
        }
    }
}

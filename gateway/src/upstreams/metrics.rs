//! The metrics of upstreams.

use prometheus::{HistogramVec, IntCounterVec, IntGaugeVec};
use runtime::Metrics;

/// The bounds of the buckets, in seconds.
const BUCKETS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

/// The metrics of all upstreams. The label is `replica`, because `instance` is the gateway's own.
#[derive(Clone)]
pub(crate) struct UpstreamMetrics {
    pub(super) in_flight: IntGaugeVec,
    pub(super) ready: IntGaugeVec,
    pub(super) circuit_open: IntGaugeVec,
    pub(super) retries: IntCounterVec,
    pub(super) duration: HistogramVec,
}

impl UpstreamMetrics {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        Self {
            in_flight: metrics.gauge_vec(
                "taskledger_gateway_upstream_requests_in_flight",
                "Requests sent to a replica whose answer has not been passed on whole.",
                &["upstream", "replica"],
            ),
            ready: metrics.gauge_vec(
                "taskledger_gateway_upstream_ready",
                "Whether a replica was ready when it was last asked, and has taken connections since.",
                &["upstream", "replica"],
            ),
            circuit_open: metrics.gauge_vec(
                "taskledger_gateway_upstream_circuit_open",
                "Whether a replica is left alone because it has answered none of the last requests.",
                &["upstream", "replica"],
            ),
            retries: metrics.counter_vec(
                "taskledger_gateway_upstream_retries_total",
                "Requests whose answer got lost or did not come soon, and that could be sent again: sent, or not for want of budget.",
                &["upstream", "outcome"],
            ),
            duration: metrics.histogram_vec(
                "taskledger_gateway_upstream_request_duration_seconds",
                "Time from sending a request to a role to the head of its answer, for requests that were answered.",
                &["upstream"],
                BUCKETS,
            ),
        }
    }
}

//! The metrics of upstreams.

use runtime::metrics;

/// The bounds of the buckets, in seconds.
const BUCKETS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

metrics! {
    /// The metrics of all upstreams. The label is `replica`, because `instance` is the gateway's own.
    #[derive(Clone)]
    pub(crate) struct UpstreamMetrics {
        /// Requests sent to a replica whose answer has not been passed on whole.
        pub(super) in_flight: gauge_vec(
            "taskledger_gateway_upstream_requests_in_flight", &["upstream", "replica"]
        );
        /// Whether a replica was ready when it was last asked, and has taken connections since.
        pub(super) ready: gauge_vec("taskledger_gateway_upstream_ready", &["upstream", "replica"]);
        /// Whether a replica is left alone because it has answered none of the last requests.
        pub(super) circuit_open: gauge_vec(
            "taskledger_gateway_upstream_circuit_open", &["upstream", "replica"]
        );
        /// Requests whose answer got lost or did not come soon, and that could be sent again: sent, or not for want of
        /// budget.
        pub(super) retries: counter_vec(
            "taskledger_gateway_upstream_retries_total", &["upstream", "outcome"]
        );
        /// Time from sending a request to a role to the head of its answer, for requests that were answered.
        pub(super) duration: histogram_vec(
            "taskledger_gateway_upstream_request_duration_seconds", &["upstream"], BUCKETS
        );
    }
}

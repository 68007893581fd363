//! The metrics of the relay.

use runtime::metrics;

metrics! {
    /// The relay's metrics.
    #[derive(Debug, Clone)]
    pub struct RelayMetrics {
        /// 1 while this process is the one that publishes the log.
        pub(crate) active: gauge("taskledger_relay_active");
        /// The log's position up to which it is published.
        pub(crate) position: gauge("taskledger_relay_position");
        /// Events in the log that are not published yet.
        pub(crate) lag: gauge("taskledger_relay_lag_events");
        /// Since when the relay has not reached an end of the log that it has seen.
        pub(crate) lag_seconds: gauge("taskledger_relay_lag_seconds");
        /// Events that the bus has taken over from this process.
        pub(crate) published: counter("taskledger_relay_published_total");
        /// Attempts to publish that the bus did not confirm.
        pub(crate) failures: counter("taskledger_relay_publish_failures_total");
        /// Events of the log that cannot be published, or that the bus did not take.
        pub(crate) passed_over: counter("taskledger_relay_passed_over_total");
        /// Events left to be read from the log because the relay was far behind.
        pub(crate) skipped: counter("taskledger_relay_skipped_total");
        /// Times that the relay went on elsewhere because the log was not the one that it had published.
        pub(crate) restarts: counter("taskledger_relay_log_mismatch_total");
    }
}

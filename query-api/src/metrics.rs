//! The metrics of the role, besides those of every HTTP role.

use database::DatabaseError;
use runtime::metrics;

/// The buckets in seconds. A projection is usually a few milliseconds behind; the longest wait is ten seconds.
const BUCKETS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

metrics! {
    #[derive(Debug, Clone)]
    pub(crate) struct QueryMetrics {
        /// How long queries with a Consistency-Token waited for the projection.
        pub(crate) wait_seconds: histogram("taskledger_query_api_projection_wait_seconds", BUCKETS);
        /// Queries answered 503 because the projection did not come in time.
        pub(crate) behind: counter("taskledger_query_api_projection_behind_total");
        /// Queries that asked for a state which the log does not have, as after a restore.
        pub(crate) lost: counter("taskledger_query_api_lost_states_total");
        /// Rows left out of a page because this release cannot read them.
        pub(crate) unreadable_rows: counter("taskledger_query_api_unreadable_rows_total");
        /// Streams of task events that are open.
        pub(crate) event_streams: gauge("taskledger_query_api_event_streams");
    }
}

impl QueryMetrics {
    /// Counts a row of `table` that is left out, so that the others are shown.
    pub(crate) fn leave_out(&self, table: &str, error: &DatabaseError) {
        self.unreadable_rows.inc();
        tracing::warn!(table, %error, "a row cannot be read and is left out");
    }
}

//! The metrics of the cache.

use runtime::{metrics, signed};

use super::{status::Status, store::Answers};

metrics! {
    /// The metrics of the cache.
    #[derive(Clone)]
    pub(crate) struct CacheMetrics {
        /// Reads of tasks by how they were answered: from what was kept, by the role, or with another's answer.
        requests: counter_vec("taskledger_gateway_cache_requests_total", &["outcome"]);
        /// Answers that are kept, roughly.
        entries: gauge("taskledger_gateway_cache_entries");
        /// Memory that they take, roughly.
        bytes: gauge("taskledger_gateway_cache_bytes");
    }
}

impl CacheMetrics {
    pub(super) fn count(&self, status: Status, answers: &Answers) {
        self.requests.with_label_values(&[status.name()]).inc();
        let (entries, bytes) = answers.size();
        self.entries.set(signed(entries));
        self.bytes.set(signed(bytes));
    }
}

//! The metrics of the cache.

use prometheus::{IntCounterVec, IntGauge};
use runtime::{Metrics, signed};

use super::{status::Status, store::Answers};

#[derive(Clone)]
pub(crate) struct CacheMetrics {
    requests: IntCounterVec,
    entries: IntGauge,
    bytes: IntGauge,
}

impl CacheMetrics {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        Self {
            requests: metrics.counter_vec(
                "taskledger_gateway_cache_requests_total",
                "Reads of tasks by how they were answered: from what was kept, by the role, or with another's answer.",
                &["outcome"],
            ),
            entries: metrics.gauge(
                "taskledger_gateway_cache_entries",
                "Answers that are kept, roughly.",
            ),
            bytes: metrics.gauge(
                "taskledger_gateway_cache_bytes",
                "Memory that they take, roughly.",
            ),
        }
    }

    pub(super) fn count(&self, status: Status, answers: &Answers) {
        self.requests.with_label_values(&[status.name()]).inc();
        let (entries, bytes) = answers.size();
        self.entries.set(signed(entries));
        self.bytes.set(signed(bytes));
    }
}

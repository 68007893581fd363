//! What the signer of checkpoints shows of itself.

use prometheus::IntGauge;
use runtime::Metrics;

/// What it shows of itself.
#[derive(Debug, Clone)]
pub struct CheckpointSignerMetrics {
    pub(crate) size: IntGauge,
    pub(crate) signed: IntGauge,
    pub(crate) stopped: IntGauge,
}

impl CheckpointSignerMetrics {
    /// Makes the metrics and registers them.
    #[must_use]
    pub fn new(metrics: &Metrics) -> Self {
        Self {
            size: metrics.gauge("taskledger_projector_audit_tree_events", "Events in the audit tree."),
            signed: metrics.gauge(
                "taskledger_projector_audit_checkpoint_events",
                "Events in the last checkpoint of the audit tree that was signed.",
            ),
            stopped: metrics.gauge(
                "taskledger_projector_audit_stopped",
                "1 while nothing is signed because the tree and the log, what was signed before, or the keys do not agree.",
            ),
        }
    }
}

//! The metrics of the checkpoint signer.

use prometheus::IntGauge;
use runtime::Metrics;

/// The metrics of a checkpoint signer.
#[derive(Debug, Clone)]
pub struct CheckpointSignerMetrics {
    pub(crate) size: IntGauge,
    pub(crate) signed: IntGauge,
    pub(crate) stopped: IntGauge,
}

impl CheckpointSignerMetrics {
    /// Creates and registers the metrics.
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

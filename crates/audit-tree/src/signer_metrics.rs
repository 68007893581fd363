//! The metrics of the checkpoint signer.

use runtime::metrics;

metrics! {
    /// The metrics of a checkpoint signer.
    #[derive(Debug, Clone)]
    pub struct CheckpointSignerMetrics {
        /// Events in the audit tree.
        pub(crate) size: gauge("taskledger_projector_audit_tree_events");
        /// Events in the last checkpoint of the audit tree that was signed.
        pub(crate) signed: gauge("taskledger_projector_audit_checkpoint_events");
        /// 1 while nothing is signed because the tree and the log, what was signed before, or the keys do not agree.
        pub(crate) stopped: gauge("taskledger_projector_audit_stopped");
    }
}

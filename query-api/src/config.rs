//! The configuration and the dependencies of the role.

use std::sync::Arc;

use audit_tree::AuditTree;
use auth_client::Verifier;
use database::Database;
use event_store::EventStore;
use events::PartitionCount;
use runtime::Clock;

/// The configuration of the role.
#[derive(Clone)]
pub struct Config {
    /// The number of partitions; the same as the projector's.
    pub partitions: PartitionCount,
    /// The key that signs cursors; the same in every replica, so that each accepts the others' cursors.
    pub cursor_key: [u8; 32],
    /// The most connections to the read models, which callers share.
    pub connections: usize,
}

/// The dependencies of the role.
#[derive(Clone)]
pub struct Dependencies {
    /// What it reads.
    pub read_models: Database,
    /// The audit tree.
    pub audit_tree: AuditTree,
    /// The log, which is asked whether it has the state that a caller waits for.
    pub store: Arc<dyn EventStore>,
    /// Checks the tokens of callers.
    pub verifier: Arc<Verifier>,
    /// The clock, for overdue tasks.
    pub clock: Arc<dyn Clock>,
}

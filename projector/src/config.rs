//! The configuration and the dependencies of the role.

use std::{path::PathBuf, sync::Arc};

use audit_tree::{AuditTree, WitnessAddress};
use bus::Bus;
use database::Database;
use event_store::EventStore;
use events::PartitionCount;
use runtime::Clock;

#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// The number of partitions. It may change from one start to the next.
    pub partitions: PartitionCount,
}

#[derive(Clone)]
pub struct Dependencies {
    /// The log, with decrypted events. It also decrypts events from the bus.
    pub store: Arc<dyn EventStore>,
    /// The bus that announces new events.
    pub bus: Arc<dyn Bus>,
    /// The database of the rows.
    pub read_models: Database,
    /// The audit tree, if this process maintains it.
    pub audit: Option<AuditKeeping>,
}

/// The settings for maintaining the audit tree. It has one writer in the order of the log, whatever the number of
/// partitions.
#[derive(Clone)]
pub struct AuditKeeping {
    pub tree: AuditTree,
    /// The directory of the signing keys.
    pub keys: PathBuf,
    /// The prefix of the name of a new tree.
    pub origin: String,
    pub witnesses: Vec<WitnessAddress>,
    pub clock: Arc<dyn Clock>,
}

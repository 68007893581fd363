//! The configuration and the dependencies of the role.

use std::{sync::Arc, time::Duration};

use auth_client::Verifier;
use bus::Bus;
use database::Database;
use event_store::EventStore;
use events::PartitionCount;
use runtime::Clock;

#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// The number of partitions of the log. The same for every role.
    pub partitions: PartitionCount,
    /// How long a task stays in the trash before it is purged; `None` means for ever.
    pub trash_kept_for: Option<Duration>,
}

#[derive(Clone)]
pub struct Dependencies {
    /// The log, with decrypted events.
    pub store: Arc<dyn EventStore>,
    /// The log as it is stored, which the relay publishes without decrypting it.
    pub log: Arc<dyn EventStore>,
    /// The bus on which the relay publishes.
    pub bus: Arc<dyn Bus>,
    /// Idempotency keys, snapshots of tasks and the relay's progress.
    pub operations: Database,
    /// The read models, in which an undo finds the tasks of a request. Nothing else needs them.
    pub read_models: Database,
    pub verifier: Arc<Verifier>,
    pub clock: Arc<dyn Clock>,
}

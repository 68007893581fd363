//! What was derived from the log, and what of it disagrees with the log.

use std::sync::Arc;

use ::events::LogPoint;
use audit_tree::{AuditTree, Disagreement};
use database::{Database, Schema};
use event_store::EventStore;
use projector::ForeignCheckpoint;
use relay::restore::foreign_relay_progress;
use sealing::{Comparison, SubjectKeys};

use crate::{platform, settings::Settings};

/// The log, and the places where something is kept that comes from it.
pub(super) struct Places {
    pub(super) store: Arc<dyn EventStore>,
    pub(super) read_models: Database,
    pub(super) operations: Database,
    pub(super) tree: AuditTree,
    pub(super) keys: SubjectKeys,
}

/// What is of another history of the log than the one that is there.
pub(super) struct Findings {
    /// Where the log ends.
    pub(super) head: u64,
    pub(super) checkpoints: Vec<ForeignCheckpoint>,
    /// Positions of events that somebody has decided to leave out.
    pub(super) discards: Vec<u64>,
    /// Up to where the relay has published, for each number of partitions.
    pub(super) relay: Vec<(u64, LogPoint)>,
    pub(super) audit: Option<Disagreement>,
    pub(super) keys: Comparison,
}

impl Places {
    pub(super) async fn open(settings: &Settings) -> anyhow::Result<Self> {
        let storage = &settings.storage;
        let store = platform::existing_event_store(storage).await?;
        Ok(Self {
            read_models: platform::database(storage, Schema::ReadModels).await?,
            operations: platform::database(storage, Schema::Operations).await?,
            tree: platform::audit_tree(storage).await?,
            keys: platform::subject_keys(settings, &*store).await?,
            store,
        })
    }

    /// Compares all of them with the log.
    pub(super) async fn compare(&self, settings: &Settings) -> anyhow::Result<Findings> {
        let store = &*self.store;
        Ok(Findings {
            head: store.head().await?,
            checkpoints: projector::foreign_checkpoints(store, &self.read_models).await?,
            discards: projector::foreign_discards(store, &self.read_models).await?,
            relay: foreign_relay_progress(store, &self.operations).await?,
            audit: audit_tree::disagreement(store, &self.tree, Some(&settings.audit_keys_dir())).await?,
            keys: self.keys.compare(store).await?,
        })
    }
}

impl Findings {
    /// Whether nothing was found.
    pub(super) fn agree(&self) -> bool {
        self.read_models_agree()
            && self.relay.is_empty()
            && self.audit.is_none()
            && self.keys.revived.is_empty()
            && self.keys.unerased.is_empty()
            && !self.lack_keys()
    }

    pub(super) fn read_models_agree(&self) -> bool {
        self.checkpoints.is_empty() && self.discards.is_empty()
    }

    /// Whether there are keys that only a backup brings back.
    pub(super) fn lack_keys(&self) -> bool {
        !self.keys.damaged.is_empty() || !self.keys.lost.is_empty()
    }
}

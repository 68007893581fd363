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

/// The log, and the places where something is kept that comes from it. Nothing was derived where there is none.
pub(super) struct Places {
    pub(super) store: Arc<dyn EventStore>,
    pub(super) read_models: Option<Database>,
    pub(super) operations: Option<Database>,
    pub(super) tree: Option<AuditTree>,
    pub(super) keys: Option<SubjectKeys>,
}

/// What is of another history of the log than the one that is there.
#[derive(Default)]
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
    /// Opens what is there, to compare it. Nothing is created or migrated.
    pub(super) async fn find(settings: &Settings) -> anyhow::Result<Self> {
        let storage = &settings.storage;
        let store = platform::existing_event_store(storage).await?;
        let tree = platform::find(storage, Schema::AuditTree).await?;
        Ok(Self {
            read_models: platform::find(storage, Schema::ReadModels).await?,
            operations: platform::find(storage, Schema::Operations).await?,
            tree: tree.map(AuditTree::new),
            keys: platform::existing_subject_keys_of(settings, &*store).await?,
            store,
        })
    }

    /// Opens and migrates all of them, to repair them.
    pub(super) async fn open(settings: &Settings) -> anyhow::Result<Self> {
        let storage = &settings.storage;
        let store = platform::existing_event_store(storage).await?;
        Ok(Self {
            read_models: Some(platform::database(storage, Schema::ReadModels).await?),
            operations: Some(platform::database(storage, Schema::Operations).await?),
            tree: Some(platform::audit_tree(storage).await?),
            keys: Some(platform::subject_keys(settings, &*store).await?),
            store,
        })
    }

    /// Compares all of them with the log.
    pub(super) async fn compare(&self, settings: &Settings) -> anyhow::Result<Findings> {
        let store = &*self.store;
        let mut findings = Findings {
            head: store.head().await?,
            ..Findings::default()
        };
        if let Some(read_models) = &self.read_models {
            findings.checkpoints = projector::foreign_checkpoints(store, read_models).await?;
            findings.discards = projector::foreign_discards(store, read_models).await?;
        }
        if let Some(operations) = &self.operations {
            findings.relay = foreign_relay_progress(store, operations).await?;
        }
        if let Some(tree) = &self.tree {
            let keys = settings.audit_keys_dir();
            findings.audit = audit_tree::disagreement(store, tree, Some(&keys)).await?;
        }
        if let Some(keys) = &self.keys {
            findings.keys = keys.compare(store).await?;
        }
        Ok(findings)
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

//! Compares the log with the data that is derived from it, after a restore.

use std::sync::Arc;

use ::events::LogPoint;
use audit_tree::{AuditTree, Disagreement};
use database::{Database, Schema};
use event_store::EventStore;
use projector::ForeignCheckpoint;
use relay::restore::foreign_relay_progress;
use sealing::{Comparison, SubjectKeys};

use super::missing::{KeyFindings, key_findings};
use crate::{existing_log, lost_log, platform, progress::watch, settings::Settings, watched_log::WatchedLog};

/// The log, and the databases with data derived from it. One that does not exist has nothing to compare.
pub(super) struct Stores {
    pub(super) store: Arc<dyn EventStore>,
    pub(super) read_models: Option<Database>,
    pub(super) operations: Option<Database>,
    pub(super) tree: Option<AuditTree>,
    pub(super) keys: Option<SubjectKeys>,
}

/// The derived data that comes from another history of the log.
#[derive(Default)]
pub(super) struct Findings {
    pub(super) head: u64,
    /// Whether the read models were projected from any event.
    pub(super) have_projected: bool,
    /// The sentence for the operator if the log is lost. Then it has to be restored before anything is repaired.
    pub(super) lost_log: Option<String>,
    /// Checkpoints of the read models that the log does not have.
    pub(super) checkpoints: Vec<ForeignCheckpoint>,
    /// Positions of discarded events that the log does not have.
    pub(super) discards: Vec<u64>,
    /// The last event that the relay has published, for each number of partitions, if the log does not have it.
    pub(super) relay: Vec<(u64, LogPoint)>,
    /// Why the audit tree is not one of this log.
    pub(super) audit: Option<Disagreement>,
    /// People whose keys disagree with the log.
    pub(super) keys: Comparison,
    /// Keys of auth and of the audit tree that are missing or cannot be used.
    pub(super) key_files: KeyFindings,
}

impl Stores {
    /// Opens the databases that exist, to compare them with the log `store`. Nothing is created or migrated.
    pub(super) async fn existing(settings: &Settings, store: Arc<dyn EventStore>) -> anyhow::Result<Self> {
        let storage = &settings.storage;
        let tree = platform::find(storage, Schema::AuditTree).await?;
        Ok(Self {
            read_models: platform::find(storage, Schema::ReadModels).await?,
            operations: platform::find(storage, Schema::Operations).await?,
            tree: tree.map(AuditTree::new),
            keys: platform::existing_subject_keys_of(settings, &*store).await?,
            store,
        })
    }

    /// Opens all databases, to repair them by the log `store`. Missing ones are created, and old ones migrated.
    pub(super) async fn open(settings: &Settings, store: Arc<dyn EventStore>) -> anyhow::Result<Self> {
        let storage = &settings.storage;
        Ok(Self {
            read_models: Some(platform::database(storage, Schema::ReadModels).await?),
            operations: Some(platform::database(storage, Schema::Operations).await?),
            tree: Some(platform::audit_tree(storage).await?),
            keys: Some(platform::subject_keys(settings, &*store).await?),
            store,
        })
    }

    pub(super) async fn compare(&self, settings: &Settings) -> anyhow::Result<Findings> {
        let log = WatchedLog::over(Arc::clone(&self.store));
        watch(&log, self.compare_with(&*log, settings)).await
    }

    async fn compare_with(&self, store: &dyn EventStore, settings: &Settings) -> anyhow::Result<Findings> {
        let mut findings = Findings {
            head: store.head().await?,
            lost_log: lost_log::loss(settings, Some(store)).await?,
            ..Findings::default()
        };
        if let Some(read_models) = &self.read_models {
            findings.have_projected = projector::has_projected(read_models).await?;
            findings.checkpoints = projector::foreign_checkpoints(store, read_models).await?;
            findings.discards = projector::foreign_discards(store, read_models).await?;
        }
        if let Some(operations) = &self.operations {
            findings.relay = foreign_relay_progress(store, operations).await?;
        }
        let tree = self.tree.as_ref();
        findings.audit = audit_tree::disagreement(store, tree, Some(&settings.audit_keys_dir())).await?;
        if findings.head > 0 {
            let opened = existing_log::opened(Arc::clone(&self.store), self.keys.clone());
            findings.key_files = key_findings(settings, tree, &*opened).await?;
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
        self.lost_log.is_none() && !self.can_be_repaired() && !self.lack_keys()
    }

    /// Whether something was found that `--repair` puts right.
    pub(super) fn can_be_repaired(&self) -> bool {
        !self.read_models_agree()
            || !self.relay.is_empty()
            || self.audit.is_some()
            || !self.keys.revived.is_empty()
            || !self.keys.unerased.is_empty()
    }

    pub(super) fn read_models_agree(&self) -> bool {
        self.checkpoints.is_empty() && self.discards.is_empty()
    }

    /// Whether something may come from a later time than the log, or was lost, as where everything was restored to an
    /// empty place, where nothing has been projected. Who was erased in between is known only to keys that were not
    /// restored, too.
    pub(super) fn may_forget_erasures(&self) -> bool {
        !self.checkpoints.is_empty()
            || !self.relay.is_empty()
            || self.audit.is_some()
            || (self.head > 0 && !self.have_projected)
    }

    /// Whether keys are missing or damaged that can only come from a backup.
    pub(super) fn lack_keys(&self) -> bool {
        !self.keys.damaged.is_empty()
            || !self.keys.lost.is_empty()
            || !self.key_files.missing.is_empty()
            || !self.key_files.unusable.is_empty()
    }
}

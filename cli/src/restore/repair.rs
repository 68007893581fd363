//! Repairs data that disagrees with the log after a restore.

use std::collections::{BTreeMap, BTreeSet};

use ::events::{CorrelationId, UserId};
use auth::Operator;
use relay::restore::forget_relay_progress;

use super::findings::{Findings, Stores};
use crate::{dependencies::Dependencies, operation::Conclusion, role, settings::Settings};

/// What is repaired by itself, whatever becomes of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    ReadModels,
    Relay,
    Keys,
    People,
    AuditTree,
}

impl Step {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::ReadModels => "read_models",
            Self::Relay => "relay_progress",
            Self::Keys => "revived_keys",
            Self::People => "unerased_people",
            Self::AuditTree => "audit_tree",
        }
    }
}

/// The result of a repair.
#[derive(Debug, Default)]
pub(super) struct Repair {
    /// The new origin of the audit tree, if it needed one.
    pub(super) new_origin: Option<String>,
    /// The steps that failed.
    pub(super) failed: BTreeMap<Step, anyhow::Error>,
    /// Whether something still disagrees with the log.
    pub(super) is_partial: bool,
}

/// Repairs what was found. A step that fails keeps no other from being done.
pub(super) async fn repair(
    settings: &Settings,
    stores: &Stores,
    findings: &Findings,
    operation: CorrelationId,
) -> Repair {
    let mut new_origin = None;
    let steps = [
        (Step::Keys, destroy_keys(stores, findings).await),
        (Step::Relay, forget_progress(stores, findings).await),
        (Step::ReadModels, empty_read_models(stores, findings).await),
        (Step::People, erase_again(settings, findings, operation).await),
        (Step::AuditTree, renew_origin(settings, stores, findings, &mut new_origin).await),
    ];
    let failed: BTreeMap<_, _> =
        steps.into_iter().filter_map(|(step, done)| Some((step, done.err()?))).collect();
    Repair { new_origin, is_partial: findings.lack_keys() || !failed.is_empty(), failed }
}

async fn empty_read_models(stores: &Stores, findings: &Findings) -> anyhow::Result<()> {
    match &stores.read_models {
        Some(read_models) if !findings.read_models_agree() => {
            Ok(projector::empty(read_models, &findings.discards).await?)
        }
        _ => Ok(()),
    }
}

async fn forget_progress(stores: &Stores, findings: &Findings) -> anyhow::Result<()> {
    if let Some(operations) = &stores.operations {
        for (partitions, _) in &findings.relay {
            forget_relay_progress(operations, *partitions).await?;
        }
    }
    Ok(())
}

async fn destroy_keys(stores: &Stores, findings: &Findings) -> anyhow::Result<()> {
    let mut destroyed = Ok(());
    if let Some(keys) = &stores.keys {
        for subject in &findings.keys.revived {
            destroyed = destroyed.and(keys.destroy(*subject).await);
        }
    }
    Ok(destroyed?)
}

async fn renew_origin(
    settings: &Settings,
    stores: &Stores,
    findings: &Findings,
    new_origin: &mut Option<String>,
) -> anyhow::Result<()> {
    if let Some(tree) = &stores.tree
        && findings.audit.is_some()
    {
        *new_origin = audit_tree::renew_origin(tree, &settings.auth.audit_origin).await?;
    }
    Ok(())
}

impl Repair {
    pub(super) fn conclusion(&self, head: u64) -> Conclusion {
        let origin = self.new_origin.as_ref();
        let origin = origin.map(|new| format!("; {}", audit_tree::announcement(new)));
        let result = format!("the log ended at position {head}{}", origin.unwrap_or_default());
        Conclusion::of(!self.is_partial).with_result(result)
    }
}

/// Erases people whose key is destroyed. Only an erasure destroys a key, so the log is from before their erasure.
async fn erase_again(
    settings: &Settings,
    findings: &Findings,
    operation: CorrelationId,
) -> anyhow::Result<()> {
    let people: &BTreeSet<UserId> = &findings.keys.unerased;
    if people.is_empty() {
        return Ok(());
    }
    let dependencies = Dependencies::new(settings, "restore").auth().await?;
    let erased = async {
        let operator = Operator::new(&role::auth_config(settings), &dependencies).await?;
        let mut erased = Ok(());
        for person in people {
            let done = operator.erase(*person, operation.clone()).await;
            erased = erased.and(done.map(drop));
        }
        erased
    };
    let erased = erased.await;
    dependencies.bus.close().await;
    erased
}

//! Puts right what disagrees with the log.

use std::collections::BTreeSet;

use ::events::{CorrelationId, UserId};
use auth::Operator;
use relay::restore::forget_relay_progress;

use super::findings::{Findings, Places};
use crate::{dependencies::Dependencies, operation::Conclusion, role, settings::Settings};

/// What came of a repair.
#[derive(Debug, Default)]
pub(super) struct Repair {
    /// The origin under which the audit tree goes on.
    pub(super) new_origin: Option<String>,
    /// Why not all people could be erased again.
    pub(super) not_erased: Option<anyhow::Error>,
    /// Something disagrees still, which a repair cannot change.
    pub(super) is_partial: bool,
}

/// Repairs what was found.
pub(super) async fn repair(
    settings: &Settings,
    places: &Places,
    findings: &Findings,
    operation: CorrelationId,
) -> anyhow::Result<Repair> {
    if let Some(read_models) = &places.read_models
        && !findings.read_models_agree()
    {
        projector::empty(read_models, &findings.discards).await?;
    }
    if let Some(operations) = &places.operations {
        for (partitions, _) in &findings.relay {
            forget_relay_progress(operations, *partitions).await?;
        }
    }
    if let Some(keys) = &places.keys {
        for subject in &findings.keys.revived {
            keys.destroy(*subject).await?;
        }
    }
    let not_erased = match findings.keys.unerased.is_empty() {
        true => None,
        false => erase_again(settings, &findings.keys.unerased, operation)
            .await
            .err(),
    };
    let new_origin = match &places.tree {
        Some(tree) if findings.audit.is_some() => {
            audit_tree::renew_origin(tree, &settings.auth.audit_origin).await?
        }
        _ => None,
    };
    Ok(Repair {
        new_origin,
        is_partial: findings.lack_keys() || not_erased.is_some(),
        not_erased,
    })
}

impl Repair {
    /// How the command ends, for the audit trail.
    pub(super) fn conclusion(&self, head: u64) -> Conclusion {
        let origin = self.new_origin.as_ref();
        let origin = origin.map(|new| format!("; {}", audit_tree::announcement(new)));
        let result = format!("the log ended at position {head}{}", origin.unwrap_or_default());
        let conclusion = match self.is_partial {
            false => Conclusion::succeeded(),
            true => Conclusion::failed(),
        };
        conclusion.with_result(result)
    }
}

/// Erases those whose key is destroyed, which nobody does to anybody else: the log is from before that.
async fn erase_again(
    settings: &Settings,
    people: &BTreeSet<UserId>,
    operation: CorrelationId,
) -> anyhow::Result<()> {
    let dependencies = Dependencies::new(settings, "restore").auth().await?;
    let erased = async {
        let operator = Operator::new(&role::auth_config(settings), &dependencies)?;
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

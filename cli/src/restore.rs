//! After the log was restored from a backup, or a standby without its last events was promoted: what disagrees with the
//! log that is there, and putting it right.

use std::{collections::BTreeSet, process::ExitCode};

use ::events::{CorrelationId, UserId};
use auth::Operator;
use clap::Subcommand;
use database::Schema;
use relay::restore;
use sealing::Comparison;
use serde_json::json;

use crate::{
    dependencies::Dependencies,
    operation::{Attribution, Conclusion},
    output, platform, role,
    settings::Settings,
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Compare with the log whatever was derived from it; exit code 1 if something disagrees
    ///
    /// Compares the checkpoints of the read models, decisions about parked events, the relay's progress, the audit tree and the
    /// keys of people: of some the key may be damaged or lost, a backup of the keys may have those of some whom the log has erased
    /// since, and a backup of the log may have some who are erased, and have no key any more. May run while the system is stopped or at work. Messages in queues, answers kept for idempotency keys and tokens that
    /// clients hold need no look: whoever uses them asks the log first.
    Check {
        /// Put right what disagrees: empty the read models, which are projected again; destroy keys again; erase again who has none; forget the rest
        #[arg(long)]
        repair: bool,
        /// One JSON object
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        attribution: Attribution,
    },
}

pub(crate) async fn run(settings: &Settings, command: Command) -> anyhow::Result<ExitCode> {
    let Command::Check {
        repair,
        json,
        attribution,
    } = command;
    let storage = &settings.storage;
    let store = platform::existing_event_store(storage).await?;
    let read_models = platform::database(storage, Schema::ReadModels).await?;
    let operations = platform::database(storage, Schema::Operations).await?;

    let head = store.head().await?;
    let checkpoints = projector::foreign_checkpoints(&*store, &read_models).await?;
    let discards = projector::foreign_discards(&*store, &read_models).await?;
    let relay = restore::foreign_relay_progress(&*store, &operations).await?;
    let tree = platform::audit_tree(storage).await?;
    let audit = audit_tree::disagreement(&*store, &tree, Some(&settings.audit_keys_dir())).await?;

    let keys = platform::subject_keys(settings, &*store).await?;
    let Comparison {
        revived,
        unerased,
        damaged,
        lost,
    } = keys.compare(&*store).await?;
    // Only a backup brings those back.
    let mut is_beyond_repair = !damaged.is_empty() || !lost.is_empty();

    let agrees = checkpoints.is_empty()
        && discards.is_empty()
        && relay.is_empty()
        && audit.is_none()
        && revived.is_empty()
        && unerased.is_empty()
        && !is_beyond_repair;
    let mut new_origin = None;
    let mut erased_again = Ok(());
    if repair && !agrees {
        let repair = async |operation| {
            if !checkpoints.is_empty() || !discards.is_empty() {
                projector::empty(&read_models, &discards).await?;
            }
            for (partitions, _) in &relay {
                restore::forget_relay_progress(&operations, *partitions).await?;
            }
            for subject in &revived {
                keys.destroy(*subject).await?;
            }
            if !unerased.is_empty() {
                erased_again = erase_again(settings, &unerased, operation).await;
                is_beyond_repair |= erased_again.is_err();
            }
            if audit.is_some() {
                new_origin = audit_tree::renew_origin(&tree, &settings.auth.audit_origin).await?;
            }
            let origin = new_origin.as_ref();
            let origin = origin.map(|new| format!("; {}", audit_tree::announcement(new)));
            let result = format!("the log ended at position {head}{}", origin.unwrap_or_default());
            let conclusion = match is_beyond_repair {
                false => Conclusion::succeeded(),
                true => Conclusion::failed(),
            };
            Ok(conclusion.with_result(result))
        };
        let command = "restore check --repair";
        attribution
            .record(&*store, command, UserId::NOBODY, repair)
            .await?;
    }
    if json {
        output::json(&json!({
            "head": head,
            "agrees": agrees,
            "repaired": repair && !agrees,
            "checkpoints": checkpoints.iter().map(|it| json!({
                "partitions": it.partitions,
                "partition": it.partition,
                "position": it.point.position,
            })).collect::<Vec<_>>(),
            "audit_tree": audit.as_ref().map(|it| json!({
                "origin": it.origin,
                "reason": it.reason,
                "new_origin": new_origin,
            })),
            "discarded_events": discards,
            "damaged_keys": damaged.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "lost_keys": lost.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "revived_keys": revived.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "unerased_people": unerased.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "relay_progress": relay.iter().map(|(partitions, point)| json!({
                "partitions": partitions,
                "position": point.position,
            })).collect::<Vec<_>>(),
        }))?;
    } else {
        let repaired = |done: &str| {
            if repair {
                format!(": {done}")
            } else {
                String::new()
            }
        };
        for it in &checkpoints {
            output::line(&format!(
                "the read models come from another history of the log: partition {} of {} is at position {}, whose \
                 event the log does not have",
                it.partition, it.partitions, it.point.position
            ))?;
        }
        if repair && (!checkpoints.is_empty() || !discards.is_empty()) {
            output::line("the read models were emptied: the projector makes them again from the log")?;
        }
        for position in &discards {
            output::line(&format!(
                "an event at position {position} was discarded that the log does not have{}",
                repaired("the decision is forgotten")
            ))?;
        }
        for (partitions, point) in &relay {
            output::line(&format!(
                "the relay has published {partitions} partitions up to position {}, whose event the log does not have{}",
                point.position,
                repaired("forgotten, it goes on at the end of the log")
            ))?;
        }
        for subject in &revived {
            output::line(&format!(
                "the key of {subject}, whom the log has erased, is not destroyed{}",
                repaired("it is now")
            ))?;
        }
        for subject in &unerased {
            output::line(&format!(
                "the key of {subject} is destroyed, and the log has not erased them{}",
                match &erased_again {
                    Ok(()) => repaired("they are erased again"),
                    Err(error) => format!(": not all of them could be erased again: {error:#}"),
                }
            ))?;
        }
        let unusable = damaged.iter().map(|subject| (subject, "damaged"));
        for (subject, how) in unusable.chain(lost.iter().map(|subject| (subject, "lost"))) {
            output::line(&format!(
                "the key of {subject} is {how}: restore it from a backup of the keys, or erase the person with \
                 `taskledger users erase {subject}`"
            ))?;
        }
        if let Some(audit) = &audit {
            output::line(&format!(
                "the audit tree {} cannot go on: {}{}",
                audit.origin,
                audit.reason,
                repaired(&format!(
                    "a tree of the new origin {} is made of the log, for witnesses and auditors to be told of",
                    new_origin.as_deref().unwrap_or_default()
                ))
            ))?;
        }
        output::line(&match (agrees, repair) {
            (true, _) => format!("everything agrees with the log, which ends at position {head}"),
            (false, true) if is_beyond_repair => {
                format!("NOT all could be repaired; the log ends at position {head}")
            }
            (false, true) => {
                format!("repaired: everything agrees with the log, which ends at position {head}")
            }
            (false, false) => {
                format!(
                    "NOT all agrees with the log, which ends at position {head}: run it again with --repair"
                )
            }
        })?;
    }
    Ok(if agrees || (repair && !is_beyond_repair) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
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

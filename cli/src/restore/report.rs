//! Prints what disagreed with the log, and what was repaired.

use std::collections::BTreeSet;

use ::events::UserId;
use serde_json::{Value, json};

use super::{
    findings::Findings,
    repair::{Repair, Step},
};
use crate::{output, settings::Settings};

pub(super) struct Report<'a> {
    pub(super) settings: &'a Settings,
    pub(super) findings: &'a Findings,
    pub(super) repair: Option<&'a Repair>,
}

impl Report<'_> {
    pub(super) fn as_json(&self) -> Value {
        let Findings {
            head,
            have_projected: _,
            lost_log,
            checkpoints,
            discards,
            relay,
            audit,
            keys,
            key_files,
        } = self.findings;
        json!({
            "head": head,
            "log_is_lost": lost_log.is_some(),
            "agrees": self.findings.agree(),
            "repaired": self.repair.is_some(),
            "not_repaired": self.repair.iter().flat_map(|repair| &repair.failed).map(|(step, error)| json!({
                "what": step.name(),
                "reason": format!("{error:#}"),
            })).collect::<Vec<_>>(),
            "checkpoints": checkpoints.iter().map(|it| json!({
                "partitions": it.partitions,
                "partition": it.partition,
                "position": it.point.position,
            })).collect::<Vec<_>>(),
            "audit_tree": audit.as_ref().map(|it| json!({
                "origin": it.origin,
                "reason": it.reason,
                "new_origin": self.new_origin(),
            })),
            "discarded_events": discards,
            "missing_keys": key_files.missing.iter().map(|it| it.name()).collect::<Vec<_>>(),
            "unusable_keys": key_files.unusable,
            "damaged_keys": names(&keys.damaged),
            "lost_keys": names(&keys.lost),
            "revived_keys": names(&keys.revived),
            "unerased_people": names(&keys.unerased),
            "erasures_may_be_forgotten": self.findings.may_forget_erasures(),
            "relay_progress": relay.iter().map(|(partitions, point)| json!({
                "partitions": partitions,
                "position": point.position,
            })).collect::<Vec<_>>(),
        })
    }

    /// Prints a line about each finding, and a summary.
    pub(super) fn write_lines(&self) -> anyhow::Result<()> {
        self.write_read_models()?;
        self.write_relay()?;
        self.write_keys()?;
        self.write_audit_tree()?;
        if self.findings.may_forget_erasures() {
            output::line(
                "if both the log and the keys come from a backup, nothing here knows who was erased after it: erase these \
                 people again with `taskledger users erase`, from your own records",
            )?;
        }
        output::line(&self.summary())
    }

    fn write_read_models(&self) -> anyhow::Result<()> {
        for it in &self.findings.checkpoints {
            output::line(&format!(
                "the read models come from another history of the log: partition {} of {} is at position {}, whose \
                 event the log does not have",
                it.partition, it.partitions, it.point.position
            ))?;
        }
        if self.repair.is_some() && !self.findings.read_models_agree() {
            let done = "they were emptied, and the projector makes them again from the log";
            output::line(&format!("the read models{}", self.if_repaired(Step::ReadModels, done)))?;
        }
        for position in &self.findings.discards {
            output::line(&format!(
                "an event at position {position} was discarded that the log does not have{}",
                self.if_repaired(Step::ReadModels, "the decision is forgotten")
            ))?;
        }
        Ok(())
    }

    fn write_relay(&self) -> anyhow::Result<()> {
        for (partitions, point) in &self.findings.relay {
            output::line(&format!(
                "the relay has published {partitions} partitions up to position {}, whose event the log does not have{}",
                point.position,
                self.if_repaired(Step::Relay, "forgotten, it goes on at the end of the log")
            ))?;
        }
        Ok(())
    }

    fn write_keys(&self) -> anyhow::Result<()> {
        let keys = &self.findings.keys;
        for subject in &keys.revived {
            output::line(&format!(
                "the key of {subject}, whom the log has erased, is not destroyed{}",
                self.if_repaired(Step::Keys, "it is now")
            ))?;
        }
        for subject in &keys.unerased {
            output::line(&format!(
                "the key of {subject} is destroyed, and the log has not erased them{}",
                self.if_repaired(Step::People, "they are erased again")
            ))?;
        }
        let unusable = keys.damaged.iter().map(|subject| (subject, "damaged"));
        for (subject, how) in unusable.chain(keys.lost.iter().map(|subject| (subject, "lost"))) {
            output::line(&format!(
                "the key of {subject} is {how}: restore it from a backup of the keys, or erase the person with \
                 `taskledger users erase {subject}`"
            ))?;
        }
        let key_files = &self.findings.key_files;
        for missing in &key_files.missing {
            output::line(&missing.sentence(self.settings))?;
        }
        key_files.unusable.iter().try_for_each(|unusable| output::line(unusable))
    }

    fn write_audit_tree(&self) -> anyhow::Result<()> {
        let Some(audit) = &self.findings.audit else {
            return Ok(());
        };
        let done = format!(
            "a tree of the new origin {} is made of the log, for witnesses and auditors to be told of",
            self.new_origin().unwrap_or_default()
        );
        output::line(&format!(
            "the audit tree {} cannot go on: {}{}",
            audit.origin,
            audit.reason,
            self.if_repaired(Step::AuditTree, &done)
        ))
    }

    fn summary(&self) -> String {
        let end = format!("the log, which ends at position {}", self.findings.head);
        if let Some(lost) = &self.findings.lost_log {
            return format!("NOT all agrees with {end}: {lost}");
        }
        match self.repair {
            _ if self.findings.agree() => format!("everything agrees with {end}"),
            Some(repair) if repair.is_partial => {
                format!("NOT all could be repaired; the log ends at position {}", self.findings.head)
            }
            Some(_) => format!("repaired: everything agrees with {end}"),
            None if self.findings.can_be_repaired() => {
                format!("NOT all agrees with {end}: run it again with --repair")
            }
            None => format!("NOT all is there for {end}"),
        }
    }

    fn new_origin(&self) -> Option<&str> {
        self.repair.and_then(|repair| repair.new_origin.as_deref())
    }

    /// The end of a sentence about a finding: `done`, if the step of the repair succeeded, or why it failed.
    fn if_repaired(&self, step: Step, done: &str) -> String {
        match self.repair.map(|repair| repair.failed.get(&step)) {
            Some(None) => format!(": {done}"),
            Some(Some(error)) => format!(": NOT repaired: {error:#}"),
            None => String::new(),
        }
    }
}

fn names(people: &BTreeSet<UserId>) -> Vec<String> {
    people.iter().map(ToString::to_string).collect()
}

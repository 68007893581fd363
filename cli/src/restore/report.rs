//! Says what disagreed with the log, and what was done about it.

use std::collections::BTreeSet;

use ::events::UserId;
use serde_json::{Value, json};

use super::{findings::Findings, repair::Repair};
use crate::output;

/// What a check found, and the repair if there was one.
pub(super) struct Report<'a> {
    pub(super) findings: &'a Findings,
    pub(super) repair: Option<&'a Repair>,
}

impl Report<'_> {
    pub(super) fn as_json(&self) -> Value {
        let Findings {
            head,
            checkpoints,
            discards,
            relay,
            audit,
            keys,
        } = self.findings;
        json!({
            "head": head,
            "agrees": self.findings.agree(),
            "repaired": self.repair.is_some(),
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
            "damaged_keys": names(&keys.damaged),
            "lost_keys": names(&keys.lost),
            "revived_keys": names(&keys.revived),
            "unerased_people": names(&keys.unerased),
            "relay_progress": relay.iter().map(|(partitions, point)| json!({
                "partitions": partitions,
                "position": point.position,
            })).collect::<Vec<_>>(),
        })
    }

    /// Writes a line about each thing that was found, and one about all of it.
    pub(super) fn write_lines(&self) -> anyhow::Result<()> {
        self.write_read_models()?;
        self.write_relay()?;
        self.write_keys()?;
        self.write_audit_tree()?;
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
            output::line("the read models were emptied: the projector makes them again from the log")?;
        }
        for position in &self.findings.discards {
            output::line(&format!(
                "an event at position {position} was discarded that the log does not have{}",
                self.if_repaired("the decision is forgotten")
            ))?;
        }
        Ok(())
    }

    fn write_relay(&self) -> anyhow::Result<()> {
        for (partitions, point) in &self.findings.relay {
            output::line(&format!(
                "the relay has published {partitions} partitions up to position {}, whose event the log does not have{}",
                point.position,
                self.if_repaired("forgotten, it goes on at the end of the log")
            ))?;
        }
        Ok(())
    }

    fn write_keys(&self) -> anyhow::Result<()> {
        let keys = &self.findings.keys;
        for subject in &keys.revived {
            output::line(&format!(
                "the key of {subject}, whom the log has erased, is not destroyed{}",
                self.if_repaired("it is now")
            ))?;
        }
        let not_erased = self.repair.and_then(|repair| repair.not_erased.as_ref());
        for subject in &keys.unerased {
            output::line(&format!(
                "the key of {subject} is destroyed, and the log has not erased them{}",
                match not_erased {
                    None => self.if_repaired("they are erased again"),
                    Some(error) => format!(": not all of them could be erased again: {error:#}"),
                }
            ))?;
        }
        let unusable = keys.damaged.iter().map(|subject| (subject, "damaged"));
        for (subject, how) in unusable.chain(keys.lost.iter().map(|subject| (subject, "lost"))) {
            output::line(&format!(
                "the key of {subject} is {how}: restore it from a backup of the keys, or erase the person with \
                 `taskledger users erase {subject}`"
            ))?;
        }
        Ok(())
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
            self.if_repaired(&done)
        ))
    }

    fn summary(&self) -> String {
        let end = format!("the log, which ends at position {}", self.findings.head);
        match self.repair {
            _ if self.findings.agree() => format!("everything agrees with {end}"),
            Some(repair) if repair.is_partial => {
                format!(
                    "NOT all could be repaired; the log ends at position {}",
                    self.findings.head
                )
            }
            Some(_) => format!("repaired: everything agrees with {end}"),
            None => format!("NOT all agrees with {end}: run it again with --repair"),
        }
    }

    fn new_origin(&self) -> Option<&str> {
        self.repair.and_then(|repair| repair.new_origin.as_deref())
    }

    /// The end of a sentence that says what was done about something.
    fn if_repaired(&self, done: &str) -> String {
        match self.repair {
            Some(_) => format!(": {done}"),
            None => String::new(),
        }
    }
}

fn names(people: &BTreeSet<UserId>) -> Vec<String> {
    people.iter().map(ToString::to_string).collect()
}

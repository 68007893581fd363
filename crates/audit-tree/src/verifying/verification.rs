//! What a verification found, and what it compares the log with.

use std::collections::HashSet;

use transparency_log::{Checkpoint, Hash};

use crate::{DroppedEvents, EventHeader, comparison::Leaf};

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verification {
    /// Which log it is.
    pub origin: String,
    /// Events in the log.
    pub events: u64,
    /// Events in the tree; those after them are not covered yet.
    pub size: u64,
    /// Events of an export whose payload is withheld, because it holds a secret: only its hash is covered.
    pub withheld: u64,
    /// Events whose payload was dropped from the log: only the hash that was kept of it is covered.
    pub dropped: u64,
    /// Those among them whose payload somebody has shown.
    pub shown: u64,
    /// Checkpoints whose root and signature are right.
    pub checkpoints: u64,
    /// Cosignatures of the witnesses that were asked about.
    pub cosignatures: u64,
    /// The first position at which log and tree differ.
    pub first_difference: Option<i64>,
    /// What is not as it should be, in sentences.
    pub differences: Vec<String>,
}

impl Verification {
    /// Counts the events of a part of the log.
    pub(super) fn count(&mut self, part: &[(Leaf, EventHeader)], kept: &Kept) {
        self.events += part.len() as u64;
        for (leaf, header) in part {
            self.dropped += u64::from(header.is_dropped);
            self.shown += u64::from(header.is_dropped && kept.entries.contains(&leaf.entry));
        }
    }

    /// Notes that log and tree differ at `position`.
    pub(super) fn differs_at(&mut self, position: i64) {
        let first = self.first_difference;
        self.first_difference = Some(first.map_or(position, |first| first.min(position)));
    }

    /// Adds what was found of the payloads that are missing. `is_whole` says whether all of the log was looked at.
    pub fn add_dropped(&mut self, dropped: DroppedEvents, is_whole: bool) {
        let (first, differences) = dropped.finish(is_whole);
        self.first_difference = [self.first_difference, first].into_iter().flatten().min();
        self.differences.extend(differences);
    }
}

/// What somebody has kept outside, with which the log is compared.
#[derive(Debug, Default)]
pub struct Kept {
    /// Checkpoints whose signatures have been checked.
    pub checkpoints: Vec<Checkpoint>,
    /// What the keys of the tree have signed last, as [`crate::LastSigned`] remembers it. Its signature needs no look:
    /// whoever can write it has the keys.
    pub remembered: Option<Checkpoint>,
    /// Under which other origin the keys of the tree have signed, when nothing is remembered of its own.
    pub signed_before: Option<String>,
    /// The entries of events with their payloads, which the log may have dropped since.
    pub entries: HashSet<Hash>,
}

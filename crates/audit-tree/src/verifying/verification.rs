//! The result of a verification, and the records with which it compares the log.

use std::collections::HashSet;

use transparency_log::{Checkpoint, Hash};

use crate::{DroppedEvents, EventHeader, comparison::Leaf};

/// The result of a verification.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verification {
    /// The origin of the log.
    pub origin: String,
    /// The number of events in the log.
    pub events: u64,
    /// The number of events in the tree. Later events are not covered yet.
    pub size: u64,
    /// The number of events of an export whose payload is withheld because it holds a secret. Only its hash is covered.
    pub withheld: u64,
    /// The number of events whose payload was dropped from the log. Only the hash that was kept of it is covered.
    pub dropped: u64,
    /// The number of dropped payloads that were given to the verification from outside the log.
    pub shown: u64,
    /// The number of checkpoints whose root and signature are right.
    pub checkpoints: u64,
    /// The number of cosignatures of the given witnesses.
    pub cosignatures: u64,
    /// The first position at which log and tree differ.
    pub first_difference: Option<i64>,
    /// Each difference as a sentence.
    pub differences: Vec<String>,
}

impl Verification {
    /// Counts the events of a part of the log.
    pub(super) fn count(&mut self, part: &[(Leaf, EventHeader)], kept: &KeptRecords) {
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

    /// Adds the differences of dropped payloads. `is_whole` says whether they are those of the whole log.
    pub fn add_dropped(&mut self, dropped: DroppedEvents, is_whole: bool) {
        let (first, differences) = dropped.finish(is_whole);
        self.first_difference = [self.first_difference, first].into_iter().flatten().min();
        self.differences.extend(differences);
    }
}

/// Records outside the databases with which the log is compared.
#[derive(Debug, Default)]
pub struct KeptRecords {
    /// Checkpoints whose signatures have been checked.
    pub checkpoints: Vec<Checkpoint>,
    /// The last checkpoint that the keys of the tree have signed, from [`crate::LastSigned`]. Its signature is not
    /// checked, because only the holder of the keys can write the file.
    pub remembered: Option<Checkpoint>,
    /// Another origin under which the keys of the tree have signed, if no checkpoint of its own origin is remembered.
    pub signed_before: Option<String>,
    /// The hashes of events whose payloads were exported. The log may have dropped these payloads since.
    pub entries: HashSet<Hash>,
}

//! Computes the whole tree again from the log, and compares it with the tiles, with every checkpoint, and with what auditors
//! have kept. The log is read in several places at once where its positions have no gaps; hashing is spread over the
//! processors.

mod checks;
mod log_parts;

use std::{collections::HashSet, sync::Arc};

use checks::{check_kept, check_memory, check_signed, check_tiles, roots_to_compute};
use event_store::EventStore;
use futures::TryStreamExt as _;
use log_parts::{Part, aligned, parts};
use transparency_log::{Checkpoint, Hash, VerifierKey};

use crate::{AuditTree, DroppedEvents, VerifyError, comparison::Comparison};

/// The most checkpoints that are compared.
const MOST_CHECKPOINTS: u32 = 10_000;

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
    fn count(&mut self, part: &Part, kept: &Kept) {
        self.events += part.len() as u64;
        for (leaf, header) in part {
            self.dropped += u64::from(header.is_dropped);
            self.shown += u64::from(header.is_dropped && kept.entries.contains(&leaf.entry));
        }
    }

    /// Notes that log and tree differ at `position`.
    fn differs_at(&mut self, position: i64) {
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

/// Compares the log with the tree. `keys` are those that sign for it, `witnesses` those that should have cosigned.
///
/// # Errors
/// When the log or the tree cannot be read.
pub async fn verify(
    store: &Arc<dyn EventStore>,
    tree: &AuditTree,
    keys: &[VerifierKey],
    witnesses: &[VerifierKey],
    kept: &Kept,
    mut progress: impl FnMut(u64, u64) + Send,
) -> Result<Verification, VerifyError> {
    let newest = tree.newest().await?.ok_or(VerifyError::NoTree)?;
    let checkpoints = tree.checkpoints(&newest, MOST_CHECKPOINTS).await?;
    let head = store.head().await?;
    let mut report = Verification {
        origin: newest.origin.clone(),
        size: newest.size,
        ..Verification::default()
    };
    let mut roots = roots_to_compute(&checkpoints, kept);
    let mut comparison = Comparison::new(tree, &newest);
    comparison.pass(&[], &mut roots);
    let (mut dropped, mut is_announced) = (DroppedEvents::default(), false);
    let mut parts = parts(store, head);
    while let Some(part) = parts.try_next().await? {
        report.count(&part, kept);
        for (_, header) in &part {
            dropped.push(header);
            is_announced |= header.announced_origin.as_ref() == Some(&newest.origin);
        }
        let leaves = part.into_iter().map(|(leaf, _)| leaf).collect();
        let is_dense = store.positions_are_dense();
        let leaves = aligned(is_dense, comparison.size(), leaves, &mut report);
        comparison.compare(&leaves).await?;
        let tiles = comparison.pass(&leaves, &mut roots);
        comparison.compare_upper(&tiles).await?;
        progress(comparison.size(), head);
    }
    check_signed(&checkpoints, &roots, keys, witnesses, &mut report);
    check_kept(&kept.checkpoints, &roots, &mut report);
    check_memory(kept, is_announced, &roots, &mut report);
    check_tiles(&comparison, &mut report);
    report.add_dropped(dropped, true);
    Ok(report)
}

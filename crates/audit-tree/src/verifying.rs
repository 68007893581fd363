//! Computes the whole tree again from the log, and compares it with the tiles, with every checkpoint, and with what auditors
//! have kept. The log is read in several places at once where its positions have no gaps; hashing is spread over the
//! processors.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use event_store::EventStore;
use events::StoredEvent;
use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use transparency_log::{Checkpoint, Hash, NoteError, VerifierKey, cosigned_at, entry_hash};

use crate::{
    AuditTree, DroppedEvents, EventHeader, SignedCheckpoint, VerifyError,
    comparison::{Comparison, Leaf},
    reading::signed,
};

/// Positions of which each part of the log consists that is read and hashed at once: whole tiles.
const PART: u64 = 8_192;
/// Parts in hand at the same time.
const PARALLEL: usize = 4;
/// Records read at once, so that a part is whole pages.
const PAGE: usize = 2_048;
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
    let mut roots: BTreeMap<u64, Option<Hash>> = checkpoints
        .iter()
        .map(|signed| &signed.checkpoint)
        .chain(&kept.checkpoints)
        .chain(&kept.remembered)
        .map(|it| (it.size, None))
        .collect();
    let mut comparison = Comparison::new(tree, &newest);
    comparison.pass(&[], &mut roots);
    let (mut dropped, mut is_announced) = (DroppedEvents::default(), false);
    let mut parts = parts(store, head);
    while let Some(part) = parts.try_next().await? {
        report.events += part.len() as u64;
        for (leaf, header) in &part {
            report.dropped += u64::from(header.is_dropped);
            report.shown += u64::from(header.is_dropped && kept.entries.contains(&leaf.entry));
            dropped.push(header);
            is_announced |= header.announced_origin.as_ref() == Some(&newest.origin);
        }
        let leaves = part.into_iter().map(|(leaf, _)| leaf).collect();
        let leaves = aligned(
            store.positions_are_dense(),
            comparison.size(),
            leaves,
            &mut report,
        );
        comparison.compare(&leaves).await?;
        let tiles = comparison.pass(&leaves, &mut roots);
        comparison.compare_upper(&tiles).await?;
        progress(comparison.size(), head);
    }
    check_checkpoints(&checkpoints, &roots, keys, witnesses, &mut report);
    for checkpoint in &kept.checkpoints {
        if checkpoint.origin != newest.origin {
            report.differences.push(format!(
                "the checkpoint that was kept is of the log {}, and this one is {}",
                checkpoint.origin, newest.origin
            ));
        } else if roots.get(&checkpoint.size).copied().flatten() != Some(checkpoint.root) {
            report.differences.push(format!(
                "the log is not the one of the checkpoint that was kept, of {} events",
                checkpoint.size
            ));
        }
    }
    if let Some(remembered) = &kept.remembered {
        check_remembered(remembered, &roots, &mut report);
    } else if let Some(before) = &kept.signed_before
        && !is_announced
    {
        report.differences.push(format!(
            "no event of the log announces the origin {} of the tree, and the keys here have signed {before}",
            newest.origin
        ));
    }
    if report.events < newest.size {
        report.differences.push(format!(
            "the log has {} events, the tree {}",
            report.events, newest.size
        ));
    }
    if let Some(position) = comparison.differing_position {
        let blame = if report.differences.is_empty() {
            "the checkpoints agree with the log, so that the tiles were changed"
        } else {
            "the event there was changed, removed, inserted or moved"
        };
        report.differences.insert(
            0,
            format!("the log and the tree differ from position {position} on: {blame}"),
        );
        let first = report
            .first_difference
            .map_or(position, |first| first.min(position));
        report.first_difference = Some(first);
    } else if let Some(tile) = comparison.differing_upper {
        report.differences.push(format!(
            "the tile {tile} is not the one of the log, so that proofs which are made of it are wrong"
        ));
    }
    report.add_dropped(dropped, true);
    Ok(report)
}

/// Events of the log, read and hashed.
type Part = Vec<(Leaf, EventHeader)>;

/// The events of the log in order, a part at a time.
fn parts<'a>(
    store: &'a Arc<dyn EventStore>,
    head: u64,
) -> std::pin::Pin<Box<dyn Stream<Item = Result<Part, VerifyError>> + Send + 'a>> {
    if store.positions_are_dense() {
        let count = head.div_ceil(PART).max(1);
        let ranges = (0..count).map(move |part| {
            // What stands before the first position or after the last one is read, too.
            let after = if part == 0 { i64::MIN } else { signed(part * PART) };
            let to = if part + 1 == count {
                i64::MAX
            } else {
                signed((part + 1) * PART)
            };
            part_of(Arc::clone(store), after, to)
        });
        return Box::pin(stream::iter(ranges).buffered(PARALLEL));
    }
    let pages = stream::try_unfold(Some(i64::MIN), move |after| async move {
        let Some(after) = after else { return Ok(None) };
        let page = store.stored_page(after, PAGE).await?;
        let next = page
            .events
            .last()
            .filter(|_| page.more)
            .map(|event| event.position);
        Ok::<_, VerifyError>(Some((page.events, next)))
    });
    Box::pin(pages.map_ok(hashed).try_buffered(PARALLEL))
}

/// The events after `after` up to `to`.
async fn part_of(store: Arc<dyn EventStore>, mut after: i64, to: i64) -> Result<Part, VerifyError> {
    let mut part = Vec::new();
    loop {
        let mut page = store.stored_page(after, PAGE).await?;
        let read = page.events.len();
        page.events.retain(|event| event.position <= to);
        let is_last = !page.more || page.events.len() < read;
        let Some(last) = page.events.last() else {
            return Ok(part);
        };
        after = last.position;
        part.extend(hashed(page.events).await?);
        if is_last || after == to {
            return Ok(part);
        }
    }
}

async fn hashed(events: Vec<StoredEvent>) -> Result<Part, VerifyError> {
    let hash = move || {
        let leaf = |event: &StoredEvent| Leaf {
            position: event.position,
            entry: entry_hash(&event.canonical()),
        };
        let hashed = events.iter().map(|event| (leaf(event), EventHeader::of(event)));
        hashed.collect()
    };
    tokio::task::spawn_blocking(hash)
        .await
        .map_err(|error| VerifyError::BrokenOff(error.to_string()))
}

/// The leaves where they should be: in a log without gaps, an empty leaf stands for each event that is missing, so that those
/// after it are compared with what they were.
fn aligned(is_dense: bool, size: u64, leaves: Vec<Leaf>, report: &mut Verification) -> Vec<Leaf> {
    if !is_dense {
        return leaves;
    }
    let mut aligned: Vec<Leaf> = Vec::with_capacity(leaves.len());
    let mut note = |position: i64, what: String| {
        let first = report
            .first_difference
            .map_or(position, |first| first.min(position));
        report.first_difference = Some(first);
        if report.differences.len() < 10 {
            report.differences.push(what);
        }
    };
    for leaf in leaves {
        let expected = signed(size) + 1 + signed(aligned.len() as u64);
        if leaf.position < expected {
            note(
                leaf.position,
                format!(
                    "an event stands at position {}, where there can be none",
                    leaf.position
                ),
            );
            continue;
        }
        if leaf.position > expected {
            note(
                expected,
                match leaf.position - expected {
                    1 => format!("the event at position {expected} is missing"),
                    _ => format!(
                        "the events from position {expected} to {} are missing",
                        leaf.position - 1
                    ),
                },
            );
            // No more than a part of them: what is beyond that differs anyway.
            let missing = (leaf.position - expected).min(signed(PART));
            aligned.extend((0..missing).map(|offset| Leaf {
                position: expected + offset,
                entry: Hash::default(),
            }));
        }
        aligned.push(leaf);
    }
    aligned
}

/// Compares what is remembered beside the keys with what was computed.
fn check_remembered(remembered: &Checkpoint, roots: &BTreeMap<u64, Option<Hash>>, report: &mut Verification) {
    let Checkpoint { size, root, .. } = remembered;
    if *size > report.size {
        report.differences.push(format!(
            "a checkpoint of {size} events is remembered beside the keys, and the tree has {}",
            report.size
        ));
    }
    if roots.get(size).copied().flatten() != Some(*root) {
        report.differences.push(format!(
            "the log is not the one of the checkpoint that is remembered beside the keys, of {size} events"
        ));
    }
}

/// Compares what was signed with what was computed.
fn check_checkpoints(
    checkpoints: &[SignedCheckpoint],
    roots: &BTreeMap<u64, Option<Hash>>,
    keys: &[VerifierKey],
    witnesses: &[VerifierKey],
    report: &mut Verification,
) {
    let mut last_right = 0;
    // The smallest first.
    for signed in checkpoints.iter().rev() {
        let Checkpoint { size, root, origin } = &signed.checkpoint;
        if origin != &report.origin {
            report.differences.push(format!(
                "the checkpoint of {size} events is of another log, {origin}"
            ));
            continue;
        }
        if roots.get(size).copied().flatten() != Some(*root) {
            report.differences.push(format!(
                "the checkpoint of {size} events that was signed does not fit the log; the last one that does has \
                 {last_right} events"
            ));
            return;
        }
        last_right = *size;
        if let Err(error) = Checkpoint::open(&signed.note, keys) {
            report
                .differences
                .push(format!("the checkpoint of {size} events: {error}"));
            continue;
        }
        report.checkpoints += 1;
        for witness in witnesses {
            match cosigned_at(&signed.note, witness) {
                Ok(Some(_)) => report.cosignatures += 1,
                Ok(None) => {}
                Err(NoteError::WrongSignature(name)) => report.differences.push(format!(
                    "the cosignature of {name} to the checkpoint of {size} events is wrong"
                )),
                Err(error) => report
                    .differences
                    .push(format!("the checkpoint of {size} events: {error}")),
            }
        }
    }
}

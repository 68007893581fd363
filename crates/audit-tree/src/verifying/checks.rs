//! Compares checkpoints that were signed, kept or remembered with the roots that were computed from the log.

use std::collections::BTreeMap;

use transparency_log::{Checkpoint, Hash, NoteError, VerifierKey, cosigned_at};

use super::verification::{KeptRecords, Verification};
use crate::{SignedCheckpoint, comparison::Comparison};

/// The root of the tree of each size; `None` where the log has fewer events.
pub(super) type Roots = BTreeMap<u64, Option<Hash>>;

/// The sizes of all checkpoints, whose roots are not computed yet.
pub(super) fn roots_to_compute(checkpoints: &[SignedCheckpoint], kept: &KeptRecords) -> Roots {
    checkpoints
        .iter()
        .map(|signed| &signed.checkpoint)
        .chain(&kept.checkpoints)
        .chain(&kept.remembered)
        .map(|it| (it.size, None))
        .collect()
}

/// Compares the checkpoints that an auditor has kept with the computed roots.
pub(super) fn check_kept_checkpoints(checkpoints: &[Checkpoint], roots: &Roots, report: &mut Verification) {
    for checkpoint in checkpoints {
        if checkpoint.origin != report.origin {
            report.differences.push(format!(
                "the checkpoint that was kept is of the log {}, and this one is {}",
                checkpoint.origin, report.origin
            ));
        } else if roots.get(&checkpoint.size).copied().flatten() != Some(checkpoint.root) {
            report.differences.push(format!(
                "the log is not the one of the checkpoint that was kept, of {} events",
                checkpoint.size
            ));
        }
    }
}

/// Compares the checkpoint that is remembered beside the keys with the computed roots. `is_announced` says whether an
/// event of the log announces the origin of the tree. Then no checkpoint needs to be remembered.
pub(super) fn check_last_signed(
    kept: &KeptRecords,
    is_announced: bool,
    roots: &Roots,
    report: &mut Verification,
) {
    if let Some(remembered) = &kept.remembered {
        check_remembered(remembered, roots, report);
    } else if let Some(before) = &kept.signed_before
        && !is_announced
    {
        report.differences.push(format!(
            "no event of the log announces the origin {} of the tree, and the keys here have signed {before}",
            report.origin
        ));
    }
}

/// Reports where the log and the tiles of the tree differ. The checkpoints must have been checked before: they show
/// which of the two was changed.
pub(super) fn check_tiles(comparison: &Comparison<'_>, report: &mut Verification) {
    if report.events < report.size {
        report.differences.push(format!("the log has {} events, the tree {}", report.events, report.size));
    }
    if let Some(position) = comparison.differing_position {
        let blame = if report.differences.is_empty() {
            "the checkpoints agree with the log, so that the tiles were changed"
        } else {
            "the event there was changed, removed, inserted or moved"
        };
        report
            .differences
            .insert(0, format!("the log and the tree differ from position {position} on: {blame}"));
        report.differs_at(position);
    } else if let Some(tile) = comparison.differing_upper {
        report.differences.push(format!(
            "the tile {tile} is not the one of the log, so that proofs which are made of it are wrong"
        ));
    }
}

fn check_remembered(remembered: &Checkpoint, roots: &Roots, report: &mut Verification) {
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

/// Compares the signed checkpoints with the computed roots, and checks their signatures and cosignatures.
pub(super) fn check_signed_checkpoints(
    checkpoints: &[SignedCheckpoint],
    roots: &Roots,
    keys: &[VerifierKey],
    witnesses: &[VerifierKey],
    report: &mut Verification,
) {
    let mut last_right = 0;
    // The smallest checkpoint comes first.
    for signed in checkpoints.iter().rev() {
        let Checkpoint { size, root, origin } = &signed.checkpoint;
        if origin != &report.origin {
            report.differences.push(format!("the checkpoint of {size} events is of another log, {origin}"));
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
            report.differences.push(format!("the checkpoint of {size} events: {error}"));
            continue;
        }
        report.checkpoints += 1;
        for witness in witnesses {
            match cosigned_at(&signed.note, witness) {
                Ok(Some(_)) => report.cosignatures += 1,
                Ok(None) => {}
                Err(NoteError::WrongSignature(name)) => report
                    .differences
                    .push(format!("the cosignature of {name} to the checkpoint of {size} events is wrong")),
                Err(error) => report.differences.push(format!("the checkpoint of {size} events: {error}")),
            }
        }
    }
}

//! Computes the whole tree again from the log, and compares it with the tiles, with every checkpoint, and with what
//! auditors have kept. A log without gaps is read in several places at once, and all processors compute hashes.

mod checks;
mod log_parts;
mod verification;

use std::sync::Arc;

use checks::{
    check_kept_checkpoints, check_last_signed, check_signed_checkpoints, check_tiles, roots_to_compute,
};
use event_store::EventStore;
use futures::TryStreamExt as _;
use log_parts::{aligned, parts};
use transparency_log::VerifierKey;
pub use verification::{KeptRecords, Verification};

use crate::{AuditTree, DroppedEvents, VerifyError, comparison::Comparison};

/// The most checkpoints that are compared.
const MAX_CHECKPOINTS: u32 = 10_000;

/// Compares the log with the tree. `keys` are the keys that sign its checkpoints, and `witnesses` those that cosign
/// them. `progress` gets the number of compared events and the end of the log.
///
/// # Errors
/// When the log or the tree cannot be read.
pub async fn verify(
    store: &Arc<dyn EventStore>,
    tree: &AuditTree,
    keys: &[VerifierKey],
    witnesses: &[VerifierKey],
    kept: &KeptRecords,
    mut progress: impl FnMut(u64, u64) + Send,
) -> Result<Verification, VerifyError> {
    let newest = tree.require_newest().await?;
    let checkpoints = tree.checkpoints(&newest, MAX_CHECKPOINTS).await?;
    let head = store.head().await?;
    let mut report =
        Verification { origin: newest.origin.clone(), size: newest.size, ..Verification::default() };
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
    check_signed_checkpoints(&checkpoints, &roots, keys, witnesses, &mut report);
    check_kept_checkpoints(&kept.checkpoints, &roots, &mut report);
    check_last_signed(kept, is_announced, &roots, &mut report);
    check_tiles(&comparison, &mut report);
    report.add_dropped(dropped, true);
    Ok(report)
}

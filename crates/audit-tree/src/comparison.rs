//! Computes the tree again, and compares it tile by tile with the stored one.

use std::collections::BTreeMap;

use transparency_log::{Edge, Hash, Tile, TileKind, WIDTH, leaf_hash};

use crate::{AuditTree, Tree, VerifyError};

/// The parts of an event that are needed here.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Leaf {
    pub(crate) position: i64,
    pub(crate) entry: Hash,
}

/// A comparison of the computed tree with the stored one.
pub(crate) struct Comparison<'a> {
    tree: &'a AuditTree,
    newest: &'a Tree,
    edge: Edge,
    /// The first position at which a tile of entries or of leaves differs.
    pub(crate) differing_position: Option<i64>,
    /// The first tile above level 0 that differs although no earlier position does.
    pub(crate) differing_upper: Option<Tile>,
}

impl<'a> Comparison<'a> {
    /// Creates a comparison that begins at the first leaf of `newest`.
    pub(crate) fn new(tree: &'a AuditTree, newest: &'a Tree) -> Self {
        Self { tree, newest, edge: Edge::default(), differing_position: None, differing_upper: None }
    }

    /// The number of leaves so far.
    pub(crate) fn size(&self) -> u64 {
        self.edge.size()
    }

    /// Compares the leaves that come next with the tiles, until the first difference.
    pub(crate) async fn compare(&mut self, leaves: &[Leaf]) -> Result<(), VerifyError> {
        let start = self.edge.size();
        if self.differing_position.is_some() || leaves.is_empty() || start >= self.newest.size {
            return Ok(());
        }
        let covered = (self.newest.size - start).min(leaves.len() as u64);
        let first = start / WIDTH;
        let count = (start + covered).div_ceil(WIDTH) - first;
        for kind in [TileKind::Entries, TileKind::Hashes(0)] {
            let tiles = self.tree.run_of_tiles(self.newest.id, kind, first, count).await?;
            let stored: BTreeMap<u64, Vec<Hash>> = tiles.into_iter().collect();
            for (index, leaf) in (start..start + covered).zip(leaves) {
                let offset = usize::try_from(index % WIDTH).unwrap_or_default();
                let hash = stored.get(&(index / WIDTH)).and_then(|hashes| hashes.get(offset));
                let expected = match kind {
                    TileKind::Entries => leaf.entry,
                    TileKind::Hashes(_) => leaf_hash(&leaf.entry.0),
                };
                if hash != Some(&expected) {
                    let position =
                        self.differing_position.map_or(leaf.position, |first| first.min(leaf.position));
                    self.differing_position = Some(position);
                    break;
                }
            }
        }
        Ok(())
    }

    /// Adds leaves to the computed tree, and records its root at each requested size. Returns the changed tiles.
    pub(crate) fn pass(
        &mut self,
        leaves: &[Leaf],
        roots: &mut BTreeMap<u64, Option<Hash>>,
    ) -> BTreeMap<(u8, u64), Vec<Hash>> {
        let (start, end) = (self.edge.size(), self.edge.size() + leaves.len() as u64);
        let (mut done, mut changed) = (0, BTreeMap::new());
        for (size, root) in roots.range_mut(start..=end) {
            let upto = usize::try_from(size - start).unwrap_or_default();
            changed.extend(self.edge.extend(hashes(&leaves[done..upto])));
            done = upto;
            *root = Some(self.edge.root());
        }
        changed.extend(self.edge.extend(hashes(&leaves[done..])));
        changed
    }

    /// Compares the changed tiles above level 0 with the stored ones, until the first difference.
    pub(crate) async fn compare_upper(
        &mut self,
        changed: &BTreeMap<(u8, u64), Vec<Hash>>,
    ) -> Result<(), VerifyError> {
        for ((level, number), hashes) in changed.iter().filter(|((level, _), _)| *level > 0) {
            if self.differing_position.is_some() || self.differing_upper.is_some() {
                return Ok(());
            }
            let kind = TileKind::Hashes(*level);
            let there = kind.hashes(self.newest.size).saturating_sub(number * WIDTH);
            let width = there.min(hashes.len() as u64);
            let expected = &hashes[..usize::try_from(width).unwrap_or_default()];
            let stored = self.tree.hashes(self.newest.id, kind, *number).await?;
            if !stored.starts_with(expected) {
                self.differing_upper = Some(Tile { kind, number: *number, width });
            }
        }
        Ok(())
    }
}

fn hashes(leaves: &[Leaf]) -> impl Iterator<Item = Hash> {
    leaves.iter().map(|leaf| leaf_hash(&leaf.entry.0))
}

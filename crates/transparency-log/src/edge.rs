//! The right edge of a tree: the part that is needed to add leaves and to compute the root.

use std::collections::BTreeMap;

use crate::{
    hash::{Hash, empty_root, node_hash},
    tile::{MAX_LEVEL, Tile, TileKind, WIDTH},
    tree::root_of,
};

/// The last, partial tile of each level of a tree of `size` leaves.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Edge {
    size: u64,
    /// By level: fewer than [`WIDTH`] hashes each.
    levels: Vec<Vec<Hash>>,
}

/// The given tiles are not the edge of a tree of this size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the tile {level}/{number} at the edge of the tree has {actual} hashes, not {expected}")]
pub struct EdgeError {
    /// The level of the tile, from 0 for the leaves.
    pub level: u8,
    /// Its number at this level.
    pub number: u64,
    /// The expected number of hashes.
    pub expected: u64,
    /// The actual number of hashes.
    pub actual: usize,
}

impl Edge {
    /// The tiles that [`Self::resume`] needs: the partial one of each level.
    pub fn tiles(size: u64) -> impl Iterator<Item = Tile> {
        (0..=MAX_LEVEL).filter_map(move |level| {
            let kind = TileKind::Hashes(level);
            let (number, width) = (kind.hashes(size) / WIDTH, kind.hashes(size) % WIDTH);
            (width > 0).then_some(Tile { kind, number, width })
        })
    }

    /// Loads the edge of a tree of `size` leaves from the hashes of its [`Self::tiles`], in their order.
    ///
    /// # Errors
    /// When a tile is missing or has another width.
    pub fn resume(size: u64, hashes: impl IntoIterator<Item = Vec<Hash>>) -> Result<Self, EdgeError> {
        let (mut levels, mut tiles) = (Vec::new(), hashes.into_iter());
        for tile in Self::tiles(size) {
            let hashes = tiles.next().unwrap_or_default();
            let TileKind::Hashes(level) = tile.kind else {
                continue;
            };
            if hashes.len() as u64 != tile.width {
                return Err(EdgeError {
                    level,
                    number: tile.number,
                    expected: tile.width,
                    actual: hashes.len(),
                });
            }
            levels.resize(usize::from(level), Vec::new());
            levels.push(hashes);
        }
        Ok(Self { size, levels })
    }

    /// The number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds leaves, and returns every tile of hashes that has changed, with all of its hashes.
    pub fn extend(&mut self, leaves: impl IntoIterator<Item = Hash>) -> BTreeMap<(u8, u64), Vec<Hash>> {
        let before = self.size;
        let mut changed = BTreeMap::new();
        for leaf in leaves {
            self.push(leaf, &mut changed);
        }
        for (level, hashes) in (0_u8..).zip(&self.levels) {
            let kind = TileKind::Hashes(level);
            if !hashes.is_empty() && kind.hashes(before) < kind.hashes(self.size) {
                changed.insert((level, kind.hashes(self.size) / WIDTH), hashes.clone());
            }
        }
        changed
    }

    fn push(&mut self, leaf: Hash, full: &mut BTreeMap<(u8, u64), Vec<Hash>>) {
        self.size += 1;
        let mut hash = leaf;
        for level in 0..=MAX_LEVEL {
            let index = usize::from(level);
            if self.levels.len() == index {
                self.levels.push(Vec::new());
            }
            let hashes = &mut self.levels[index];
            hashes.push(hash);
            if (hashes.len() as u64) < WIDTH {
                return;
            }
            let tile = std::mem::take(hashes);
            hash = root_of(&tile).unwrap_or_default();
            let number = TileKind::Hashes(level).hashes(self.size) / WIDTH - 1;
            full.insert((level, number), tile);
        }
    }

    /// The root of the tree.
    pub fn root(&self) -> Hash {
        let mut root: Option<Hash> = None;
        for hashes in &self.levels {
            // The complete subtrees of this level, the smallest first.
            let mut end = hashes.len();
            while end > 0 {
                let count = 1 << end.trailing_zeros();
                let part = root_of(&hashes[end - count..end]).unwrap_or_default();
                root = Some(root.map_or(part, |right| node_hash(&part, &right)));
                end -= count;
            }
        }
        root.unwrap_or_else(empty_root)
    }
}

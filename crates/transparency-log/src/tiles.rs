//! Roots of subtrees, computed from tiles.

use std::collections::{BTreeSet, HashMap};

use crate::{
    hash::{Hash, empty_root, node_hash},
    tile::WIDTH,
    tree::{Range, root_of},
};

/// The tiles of a tree by level and number, each with the known hashes.
#[derive(Debug, Clone, Default)]
pub struct Tiles(HashMap<(u8, u64), Vec<Hash>>);

/// A needed hash is in none of the tiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the tile {level}/{number} of the tree is missing or too short")]
pub struct MissingTile {
    /// The level of the tile, from 0 for the leaves.
    pub level: u8,
    /// Its number at this level.
    pub number: u64,
}

/// A complete subtree: 2^`height` leaves, of which the first is leaf `number` · 2^`height`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Complete {
    height: u32,
    number: u64,
}

impl Tiles {
    /// Adds a tile of hashes.
    pub fn insert(&mut self, level: u8, number: u64, hashes: Vec<Hash>) {
        self.0.insert((level, number), hashes);
    }

    /// The tiles that [`Self::root`] of these ranges needs.
    pub fn needed(ranges: &[Range]) -> BTreeSet<(u8, u64)> {
        let parts = ranges.iter().flat_map(|range| complete_parts(*range));
        parts.map(|part| part.place()).map(|(level, number, _)| (level, number)).collect()
    }

    /// The root of the subtree of these leaves; that of the empty tree when there are none.
    ///
    /// # Errors
    /// When a tile is missing.
    pub fn root(&self, range: Range) -> Result<Hash, MissingTile> {
        let mut root = None;
        for part in complete_parts(range).into_iter().rev() {
            let part = self.complete(part)?;
            root = Some(root.map_or(part, |right| node_hash(&part, &right)));
        }
        Ok(root.unwrap_or_else(empty_root))
    }

    fn complete(&self, part: Complete) -> Result<Hash, MissingTile> {
        let (level, number, first) = part.place();
        let count = 1 << (part.height % 8);
        self.0
            .get(&(level, number))
            .and_then(|hashes| hashes.get(first..first + count))
            .and_then(root_of)
            .ok_or(MissingTile { level, number })
    }
}

impl Complete {
    /// The level and number of its tile, and the index of its first hash there.
    fn place(self) -> (u8, u64, usize) {
        let level = self.height / 8;
        let first = self.number << (self.height % 8);
        // Trees have fewer than 2^64 leaves, so a level is below 8, and an index below 256.
        (
            u8::try_from(level).unwrap_or(u8::MAX),
            first / WIDTH,
            usize::try_from(first % WIDTH).unwrap_or(usize::MAX),
        )
    }
}

/// Splits a range into complete subtrees, from left to right and from large to small.
fn complete_parts(Range { mut start, end }: Range) -> Vec<Complete> {
    let mut parts = Vec::new();
    while start < end {
        let height = (end - start).ilog2();
        parts.push(Complete { height, number: start >> height });
        start += 1 << height;
    }
    parts
}

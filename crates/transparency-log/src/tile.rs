//! Tiles of the tree (C2SP `tlog-tiles`): coordinates, widths and paths.

use std::fmt;

use crate::text::number;

/// The number of hashes in a full tile.
pub const WIDTH: u64 = 256;

/// The highest level with tiles in a tree of fewer than 2^63 leaves.
pub(crate) const MAX_LEVEL: u8 = 7;

/// The content of a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TileKind {
    /// Entries of the log, each of them a hash.
    Entries,
    /// Hashes of the tree at this level: leaves at level 0, roots of full tiles of the level below above that.
    Hashes(u8),
}

/// A tile. A partial one, with fewer than [`WIDTH`] hashes, is the beginning of the later full one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tile {
    /// Whether it holds hashes or entries.
    pub kind: TileKind,
    /// Its number at its level, from 0.
    pub number: u64,
    /// The number of hashes, 1 to [`WIDTH`].
    pub width: u64,
}

/// The path is not that of a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not the path of a tile: expected <level>/<number> or entries/<number>, and .p/<width> if it is partial"
)]
pub struct TilePathError;

impl TileKind {
    /// The number of leaves below each hash of such a tile, as a power of two.
    pub fn height(self) -> u32 {
        match self {
            Self::Entries => 0,
            Self::Hashes(level) => 8 * u32::from(level),
        }
    }

    /// The number of hashes on this level in a tree of `size` leaves.
    pub fn hashes(self, size: u64) -> u64 {
        size.checked_shr(self.height()).unwrap_or(0)
    }
}

impl Tile {
    /// Whether a tree of `size` leaves contains the whole tile.
    pub fn is_within(&self, size: u64) -> bool {
        let end = self.number.checked_mul(WIDTH).and_then(|start| start.checked_add(self.width));
        end.is_some_and(|end| end <= self.kind.hashes(size))
    }

    /// Parses the part of its URL after `tile/`.
    ///
    /// # Errors
    /// When it is not the canonical path of a tile.
    pub fn parse(path: &str) -> Result<Self, TilePathError> {
        let (kind, rest) = path.split_once('/').ok_or(TilePathError)?;
        let kind = match kind {
            "entries" => TileKind::Entries,
            level => {
                let level = number(level).and_then(|level| u8::try_from(level).ok());
                TileKind::Hashes(level.filter(|level| *level <= 63).ok_or(TilePathError)?)
            }
        };
        let (digits, width) = match rest.split_once(".p/") {
            None => (rest, WIDTH),
            Some((digits, width)) => {
                let width = number(width).filter(|width| (1..WIDTH).contains(width));
                (digits, width.ok_or(TilePathError)?)
            }
        };
        let mut index: u64 = 0;
        for group in digits.split('/') {
            let group = group.strip_prefix('x').unwrap_or(group);
            if group.len() != 3 || !group.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(TilePathError);
            }
            let group: u64 = group.parse().map_err(|_| TilePathError)?;
            index =
                index.checked_mul(1_000).and_then(|index| index.checked_add(group)).ok_or(TilePathError)?;
        }
        let tile = Self { kind, number: index, width };
        // Leading zeroes and a missing or misplaced `x` would be other spellings.
        if tile.to_string() == path { Ok(tile) } else { Err(TilePathError) }
    }
}

impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            TileKind::Entries => f.write_str("entries")?,
            TileKind::Hashes(level) => write!(f, "{level}")?,
        }
        let mut groups = vec![format!("{:03}", self.number % 1_000)];
        let mut rest = self.number / 1_000;
        while rest > 0 {
            groups.push(format!("x{:03}", rest % 1_000));
            rest /= 1_000;
        }
        for group in groups.iter().rev() {
            write!(f, "/{group}")?;
        }
        if self.width < WIDTH {
            write!(f, ".p/{}", self.width)?;
        }
        Ok(())
    }
}

//! Which tile of the tree is where (C2SP `tlog-tiles`): coordinates, widths and paths.

use std::fmt;

use crate::text::number;

/// The hashes of a full tile.
pub const WIDTH: u64 = 256;

/// Levels of tiles above which no tree of fewer than 2^63 leaves has any.
const MOST_LEVEL: u8 = 7;

/// What a tile is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TileKind {
    /// Entries of the log, each of them a hash.
    Entries,
    /// Hashes of the tree at this level: leaves at level 0, roots of full tiles of the level below above that.
    Hashes(u8),
}

/// A tile. One of less than [`WIDTH`] is the beginning of what will once be the full one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tile {
    /// Whether it holds hashes or entries.
    pub kind: TileKind,
    /// Its number at its level, from 0.
    pub number: u64,
    /// How many hashes it has, 1 to [`WIDTH`].
    pub width: u64,
}

/// Not the path of a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not the path of a tile: expected <level>/<number> or entries/<number>, and .p/<width> if it is partial"
)]
pub struct TilePathError;

impl TileKind {
    /// How many leaves each hash in such a tile stands for, as a power of two.
    #[must_use]
    pub fn height(self) -> u32 {
        match self {
            Self::Entries => 0,
            Self::Hashes(level) => 8 * u32::from(level),
        }
    }

    /// How many hashes a tree of `size` leaves has at this level.
    #[must_use]
    pub fn hashes(self, size: u64) -> u64 {
        size.checked_shr(self.height()).unwrap_or(0)
    }
}

impl Tile {
    /// Whether a tree of `size` leaves has all of it.
    #[must_use]
    pub fn is_within(&self, size: u64) -> bool {
        let end = self
            .number
            .checked_mul(WIDTH)
            .and_then(|start| start.checked_add(self.width));
        end.is_some_and(|end| end <= self.kind.hashes(size))
    }

    /// Reads what stands behind `tile/` in its URL.
    ///
    /// # Errors
    /// When it is not the one spelling of a tile.
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
            index = index
                .checked_mul(1_000)
                .and_then(|index| index.checked_add(group))
                .ok_or(TilePathError)?;
        }
        let tile = Self {
            kind,
            number: index,
            width,
        };
        // Leading zeroes and a missing or misplaced `x` would be other spellings.
        if tile.to_string() == path {
            Ok(tile)
        } else {
            Err(TilePathError)
        }
    }

    /// The highest level at which a tree may have a tile.
    #[must_use]
    pub const fn most_level() -> u8 {
        MOST_LEVEL
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

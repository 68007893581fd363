//! The part of a tree that is needed in memory to add leaves: its right edge and the entries of its last tile. Knows
//! nothing of signatures.

use events::{EventId, LogPoint, StoredEvent};
use transparency_log::{Edge, Hash, TileKind, WIDTH, entry_hash, leaf_hash};

use crate::{AuditTree, KeepError, Tree, tables::ChangedTile};

/// The right edge of a tree.
pub(crate) struct GrowingTree {
    pub(crate) tree: Tree,
    edge: Edge,
    /// The entries of the last, partial tile.
    entries: Vec<Hash>,
}

impl GrowingTree {
    /// Reads the last tiles of `tree`.
    pub(crate) async fn load(audit: &AuditTree, tree: Tree) -> Result<Self, KeepError> {
        let mut tiles = Vec::new();
        for tile in Edge::tiles(tree.size) {
            let mut hashes = audit.hashes(tree.id, tile.kind, tile.number).await?;
            hashes.truncate(usize::try_from(tile.width).unwrap_or(usize::MAX));
            tiles.push(hashes);
        }
        let edge = Edge::resume(tree.size, tiles)?;
        let mut entries = audit.hashes(tree.id, TileKind::Entries, tree.size / WIDTH).await?;
        entries.truncate(usize::try_from(tree.size % WIDTH).unwrap_or_default());
        if entries.len() as u64 != tree.size % WIDTH {
            return Err(KeepError::Damaged("the last tile of entries is too short".to_owned()));
        }
        Ok(Self { tree, edge, entries })
    }

    /// The root of the tree as it is now.
    pub(crate) fn root(&self) -> Hash {
        self.edge.root()
    }

    /// Adds these events, and returns every tile that has changed.
    pub(crate) fn extend(&mut self, events: &[StoredEvent]) -> Vec<ChangedTile> {
        let mut tiles = Vec::new();
        let mut leaves = Vec::with_capacity(events.len());
        let mut first_positions = Vec::new();
        for event in events {
            if self.entries.is_empty() {
                first_positions.push((self.tree.size / WIDTH, event.position));
            }
            let entry = entry_hash(&event.canonical());
            leaves.push(leaf_hash(&entry.0));
            self.entries.push(entry);
            self.tree.size += 1;
            if self.entries.len() as u64 == WIDTH {
                let full = std::mem::take(&mut self.entries);
                tiles.push(entries_tile(self.tree.size / WIDTH - 1, full));
            }
        }
        if !self.entries.is_empty() {
            tiles.push(entries_tile(self.tree.size / WIDTH, self.entries.clone()));
        }
        for ((level, number), hashes) in self.edge.extend(leaves) {
            let first = first_positions.iter().find(|(tile, _)| level == 0 && *tile == number);
            tiles.push(ChangedTile {
                kind: TileKind::Hashes(level),
                number,
                hashes,
                first_position: first.map(|(_, position)| *position),
            });
        }
        if let Some(last) = events.last() {
            self.tree.last = point(last);
        }
        tiles
    }
}

fn entries_tile(number: u64, hashes: Vec<Hash>) -> ChangedTile {
    ChangedTile { kind: TileKind::Entries, number, hashes, first_position: None }
}

fn point(event: &StoredEvent) -> LogPoint {
    LogPoint {
        position: u64::try_from(event.position).unwrap_or_default(),
        // An id that cannot be read is that of some event, but of none that anybody can compare.
        id: Some(EventId(event.id.parse().unwrap_or_default())),
    }
}

//! Reads the tree: checkpoints, tiles, and proofs made from tiles.

use event_store::EventStore;
use runtime::signed;
use transparency_log::{
    Checkpoint, Hash, InclusionProof, Note, Range, Signature, Tile, TileKind, Tiles, WIDTH,
    consistency_ranges, inclusion_ranges,
};

use crate::{AuditTree, ReadError, Tree, VerifyError};

/// A signed checkpoint with its cosignatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    /// The content.
    pub checkpoint: Checkpoint,
    /// The note, with all signatures.
    pub note: Note,
    /// When it was signed, in microseconds since 1970.
    pub signed_at: i64,
}

impl AuditTree {
    /// The tree that grows.
    ///
    /// # Errors
    /// When there is none yet, or it cannot be read.
    pub async fn require_newest(&self) -> Result<Tree, VerifyError> {
        self.newest().await?.ok_or(VerifyError::NoTree)
    }

    /// The last checkpoint of `tree`; `None` before the first one was signed.
    ///
    /// # Errors
    /// When it cannot be read; likewise for the others.
    pub async fn last_checkpoint(&self, tree: &Tree) -> Result<Option<SignedCheckpoint>, ReadError> {
        Ok(self.checkpoints(tree, 1).await?.pop())
    }

    /// The last checkpoints of `tree`, the largest first.
    ///
    /// # Errors
    /// As [`Self::last_checkpoint`].
    pub async fn checkpoints(&self, tree: &Tree, most: u32) -> Result<Vec<SignedCheckpoint>, ReadError> {
        let sql = "SELECT c.note, c.signed_at, s.line FROM (
                SELECT tree, size, note, signed_at FROM tree_checkpoints WHERE tree = $1 ORDER BY size DESC LIMIT $2
            ) AS c LEFT JOIN tree_cosignatures s ON s.tree = c.tree AND s.size = c.size
            ORDER BY c.size DESC, s.witness";
        let rows = self.0.fetch_all(sql, &[tree.id.into(), i64::from(most).into()]).await?;
        let mut found: Vec<SignedCheckpoint> = Vec::new();
        for row in &rows {
            let note: Note = row.text("note")?.parse()?;
            if found.last().is_none_or(|last| last.note.text != note.text) {
                found.push(SignedCheckpoint {
                    checkpoint: note.text.parse()?,
                    note,
                    signed_at: row.integer("signed_at")?,
                });
            }
            if let (Some(line), Some(last)) = (row.optional_text("line")?, found.last_mut()) {
                match line.parse::<Signature>() {
                    Ok(signature) => last.note.signatures.push(signature),
                    // The checkpoint is good without it.
                    Err(error) => tracing::error!(
                        %error,
                        size = last.checkpoint.size,
                        "a cosignature of the audit tree cannot be read and is left out"
                    ),
                }
            }
        }
        Ok(found)
    }

    /// The bytes of a tile; `None` when the tree does not have it.
    ///
    /// # Errors
    /// As [`Self::last_checkpoint`].
    pub async fn tile(&self, tree: &Tree, tile: Tile) -> Result<Option<Vec<u8>>, ReadError> {
        if !tile.is_within(tree.size) {
            return Ok(None);
        }
        let hashes = self.hashes(tree.id, tile.kind, tile.number).await?;
        let width = usize::try_from(tile.width).unwrap_or(usize::MAX);
        let Some(hashes) = hashes.get(..width) else {
            return Err(ReadError::Damaged(format!("the tile {tile} is too short")));
        };
        Ok(Some(match tile.kind {
            TileKind::Hashes(_) => hashes.iter().flat_map(|hash| hash.0).collect(),
            // Each entry is preceded by its length.
            TileKind::Entries => {
                hashes.iter().flat_map(|hash| [&[0, 32], hash.0.as_slice()].concat()).collect()
            }
        }))
    }

    /// The roots of these subtrees of `tree`.
    ///
    /// # Errors
    /// As [`Self::last_checkpoint`].
    pub async fn roots(&self, tree: &Tree, ranges: &[Range]) -> Result<Vec<Hash>, ReadError> {
        let mut tiles = Tiles::default();
        for (level, number) in Tiles::needed(ranges) {
            let hashes = self.hashes(tree.id, TileKind::Hashes(level), number).await?;
            tiles.insert(level, number, hashes);
        }
        ranges.iter().map(|range| Ok(tiles.root(*range)?)).collect()
    }

    /// The root of the tree when it had `size` leaves.
    ///
    /// # Errors
    /// As [`Self::last_checkpoint`].
    pub async fn root_at(&self, tree: &Tree, size: u64) -> Result<Hash, ReadError> {
        let range = Range { start: 0, end: size };
        Ok(self.roots(tree, &[range]).await?.pop().unwrap_or_default())
    }

    /// The proof that `tree` with `to` leaves extends `tree` with `from` leaves; `None` when it never had these
    /// sizes.
    ///
    /// # Errors
    /// As [`Self::last_checkpoint`].
    pub async fn consistency(&self, tree: &Tree, from: u64, to: u64) -> Result<Option<Vec<Hash>>, ReadError> {
        match consistency_ranges(from, to) {
            Some(ranges) if to <= tree.size => self.roots(tree, &ranges).await.map(Some),
            _ => Ok(None),
        }
    }

    /// The index of the event at `position` in `tree`; `None` when it has no such event.
    ///
    /// # Errors
    /// As [`Self::last_checkpoint`].
    pub async fn index_of(
        &self,
        tree: &Tree,
        store: &dyn EventStore,
        position: u64,
    ) -> Result<Option<u64>, ReadError> {
        if position == 0 || position > tree.last.position {
            return Ok(None);
        }
        let Some((number, first)) = self.tile_of(tree.id, position).await? else {
            return Ok(None);
        };
        let offset = if position == first || store.positions_are_dense() {
            Some(position - first)
        } else {
            // Positions have gaps in this log, so the events of the tile are counted, from the one after the first on:
            // a page can begin only after an event.
            let (mut after, mut offset) = (first, 1);
            loop {
                let page = store.stored_page(signed(after), 256).await?;
                let place = page.events.iter().position(|event| event.position >= signed(position));
                match place {
                    Some(place) if page.events[place].position == signed(position) => {
                        break Some(offset + place as u64);
                    }
                    None if page.more => {
                        offset += page.events.len() as u64;
                        after = page.events.last().map_or(after, |event| event.position.unsigned_abs());
                    }
                    _ => break None,
                }
            }
        };
        Ok(offset
            .filter(|offset| *offset < WIDTH)
            .map(|offset| number * WIDTH + offset)
            .filter(|index| *index < tree.size))
    }

    /// The proof that the leaf `index` is in the tree of this checkpoint; `None` when it is not.
    ///
    /// # Errors
    /// As [`Self::last_checkpoint`].
    pub async fn inclusion(
        &self,
        tree: &Tree,
        index: u64,
        signed: &SignedCheckpoint,
    ) -> Result<Option<InclusionProof>, ReadError> {
        let Some(ranges) = inclusion_ranges(index, signed.checkpoint.size) else {
            return Ok(None);
        };
        Ok(Some(InclusionProof {
            index,
            hashes: self.roots(tree, &ranges).await?,
            checkpoint: signed.note.clone(),
            extra: None,
        }))
    }
}

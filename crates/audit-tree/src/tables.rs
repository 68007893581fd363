//! The tables of the tree: reading and writing their rows.

use database::{Database, DatabaseError, Row, Transaction, Value, placeholders};
use events::{EventId, LogPoint, Timestamp};
use transparency_log::{Checkpoint, HASH_BYTES, Hash, Note, Signature, TileKind};

/// The most rows of tiles in one statement.
const ROWS: usize = 16;

/// The tables of the tree. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AuditTree(pub(crate) Database);

/// A tree at some size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// The id. The tree with the highest one grows.
    pub id: u64,
    /// Its name in checkpoints.
    pub origin: String,
    /// How many leaves it has.
    pub size: u64,
    /// The event of its last leaf.
    pub last: LogPoint,
}

/// A tile that has changed, with its hashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChangedTile {
    pub(crate) kind: TileKind,
    pub(crate) number: u64,
    pub(crate) hashes: Vec<Hash>,
    /// At level 0: the position of the first event of the tile, when it was not stored before.
    pub(crate) first_position: Option<i64>,
}

impl AuditTree {
    /// The tree in a database of [`database::Schema::AuditTree`].
    pub fn new(database: Database) -> Self {
        Self(database)
    }

    /// The tree that grows; `None` before the first start.
    ///
    /// # Errors
    /// When it cannot be read; likewise for the others.
    pub async fn newest(&self) -> Result<Option<Tree>, DatabaseError> {
        let sql = "SELECT id, origin, size, position, event_id FROM trees ORDER BY id DESC LIMIT 1";
        self.0.fetch_optional(sql, &[]).await?.as_ref().map(tree).transpose()
    }

    /// Begins a tree with this origin after the tree `before` (0: none), unless another process has.
    pub(crate) async fn begin(&self, before: u64, origin: &str) -> Result<(), DatabaseError> {
        let sql = "INSERT INTO trees (id, origin, size, position, event_id) VALUES ($1, $2, 0, 0, $3)
            ON CONFLICT (id) DO NOTHING";
        let none = Value::Uuid(None);
        self.0.execute(sql, &[(before + 1).into(), origin.into(), none]).await?;
        Ok(())
    }

    /// The stored hashes of a tile; empty when it does not exist.
    pub(crate) async fn hashes(
        &self,
        tree: u64,
        kind: TileKind,
        number: u64,
    ) -> Result<Vec<Hash>, DatabaseError> {
        let sql = "SELECT hashes FROM tree_tiles WHERE tree = $1 AND level = $2 AND number = $3";
        let row = self.0.fetch_optional(sql, &[tree.into(), level(kind).into(), number.into()]).await?;
        row.map_or(Ok(Vec::new()), |row| hashes(&row))
    }

    /// Up to `count` consecutive tiles from `number` on, with their numbers.
    pub(crate) async fn run_of_tiles(
        &self,
        tree: u64,
        kind: TileKind,
        number: u64,
        count: u64,
    ) -> Result<Vec<(u64, Vec<Hash>)>, DatabaseError> {
        let sql = "SELECT number, hashes FROM tree_tiles
            WHERE tree = $1 AND level = $2 AND number >= $3 AND number < $4 ORDER BY number";
        let values = [tree.into(), level(kind).into(), number.into(), (number + count).into()];
        let rows = self.0.fetch_all(sql, &values).await?;
        rows.iter().map(|row| Ok((row.unsigned("number")?, hashes(row)?))).collect()
    }

    /// The tile at level 0 that has the event at `position`, if the tree has it, and the position of its first event.
    pub(crate) async fn tile_of(
        &self,
        tree: u64,
        position: u64,
    ) -> Result<Option<(u64, u64)>, DatabaseError> {
        let sql = "SELECT number, first_position FROM tree_tiles
            WHERE tree = $1 AND first_position IS NOT NULL AND first_position <= $2 ORDER BY first_position DESC LIMIT 1";
        let row = self.0.fetch_optional(sql, &[tree.into(), position.into()]).await?;
        row.map(|row| Ok((row.unsigned("number")?, row.unsigned("first_position")?))).transpose()
    }

    /// Extends the tree from `before` to `after` by these tiles, in one transaction. Returns `false` when the tree
    /// was not at `before`, or is not the newest any more.
    pub(crate) async fn grow(
        &self,
        before: &Tree,
        after: &Tree,
        tiles: &[ChangedTile],
    ) -> Result<bool, DatabaseError> {
        let mut tx = self.0.begin().await?;
        let sql = "UPDATE trees SET size = $1, position = $2, event_id = $3
            WHERE id = $4 AND size = $5 AND id = (SELECT MAX(id) FROM trees)";
        let values = [
            after.size.into(),
            after.last.position.into(),
            after.last.id.map(|id| id.0).into(),
            before.id.into(),
            before.size.into(),
        ];
        if tx.execute(sql, &values).await? == 0 {
            return Ok(false);
        }
        for tiles in tiles.chunks(ROWS) {
            write(&mut tx, before.id, tiles).await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    /// Stores a signed checkpoint. Another process may have stored the same one.
    pub(crate) async fn add_checkpoint(
        &self,
        tree: &Tree,
        checkpoint: &Checkpoint,
        note: &Note,
        now: Timestamp,
    ) -> Result<(), DatabaseError> {
        let sql = "INSERT INTO tree_checkpoints (tree, size, root, note, signed_at) VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT (tree, size) DO UPDATE SET note = excluded.note WHERE tree_checkpoints.root = excluded.root";
        let values = [
            tree.id.into(),
            checkpoint.size.into(),
            checkpoint.root.0.to_vec().into(),
            note.to_string().into(),
            now.as_micros().into(),
        ];
        self.0.execute(sql, &values).await.map(drop)
    }

    /// Stores the cosignature of a witness.
    pub(crate) async fn add_cosignature(
        &self,
        tree: &Tree,
        size: u64,
        cosignature: &Signature,
    ) -> Result<(), DatabaseError> {
        let sql = "INSERT INTO tree_cosignatures (tree, size, witness, line) VALUES ($1, $2, $3, $4)
            ON CONFLICT (tree, size, witness) DO UPDATE SET line = excluded.line";
        let values =
            [tree.id.into(), size.into(), cosignature.name.as_str().into(), cosignature.to_string().into()];
        self.0.execute(sql, &values).await.map(drop)
    }

    /// Deletes all checkpoints of `tree` but the last `kept`, and their cosignatures.
    pub(crate) async fn forget_checkpoints(&self, tree: &Tree, kept: i64) -> Result<(), DatabaseError> {
        for table in ["tree_cosignatures", "tree_checkpoints"] {
            let sql = format!(
                "DELETE FROM {table} WHERE tree = $1 AND size <= (
                    SELECT size FROM tree_checkpoints WHERE tree = $1 ORDER BY size DESC LIMIT 1 OFFSET $2
                )"
            );
            self.0.execute(&sql, &[tree.id.into(), kept.into()]).await?;
        }
        Ok(())
    }
}

async fn write(tx: &mut Transaction, tree: u64, tiles: &[ChangedTile]) -> Result<(), DatabaseError> {
    let (mut rows, mut values) = (Vec::new(), Vec::new());
    for tile in tiles {
        let first = values.len() + 1;
        rows.push(format!("({})", placeholders(first..first + 5)));
        let bytes: Vec<u8> = tile.hashes.iter().flat_map(|hash| hash.0).collect();
        values.extend([
            tree.into(),
            level(tile.kind).into(),
            tile.number.into(),
            tile.first_position.into(),
            bytes.into(),
        ]);
    }
    let sql = format!(
        "INSERT INTO tree_tiles (tree, level, number, first_position, hashes) VALUES {}
         ON CONFLICT (tree, level, number) DO UPDATE SET hashes = excluded.hashes",
        rows.join(", ")
    );
    tx.execute(&sql, &values).await.map(drop)
}

fn tree(row: &Row) -> Result<Tree, DatabaseError> {
    Ok(Tree {
        id: row.unsigned("id")?,
        origin: row.text("origin")?,
        size: row.unsigned("size")?,
        last: LogPoint {
            position: row.unsigned("position")?,
            id: row.optional_uuid("event_id")?.map(EventId),
        },
    })
}

fn hashes(row: &Row) -> Result<Vec<Hash>, DatabaseError> {
    let bytes = row.bytes("hashes")?;
    let (whole, rest) = bytes.as_chunks::<HASH_BYTES>();
    if rest.is_empty() {
        Ok(whole.iter().copied().map(Hash).collect())
    } else {
        Err(DatabaseError::Unexpected("a tile of the audit tree is cut short".to_owned()))
    }
}

/// The value of the column for the level.
fn level(kind: TileKind) -> i64 {
    match kind {
        TileKind::Entries => -1,
        TileKind::Hashes(level) => level.into(),
    }
}

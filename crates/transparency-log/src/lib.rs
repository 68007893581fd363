//! Transparency logs as C2SP specifies them, over the Merkle tree of RFC 9162: hashes, signatures, proofs, and their
//! text formats.
//!
//! Everything here is pure: no I/O, no clock, no random number. The meaning of entries and the storage of tiles are
//! unknown here. `hash.rs` and `tree.rs` are the tree, `edge.rs` adds leaves, `tile.rs` and `tiles.rs` are the form
//! in which it is stored and served (`tlog-tiles`); `note.rs` signs texts (`signed-note`), `checkpoint.rs`,
//! `cosignature.rs`, `proof.rs` and `witness.rs` are the texts (`tlog-checkpoint`, `tlog-cosignature`, `tlog-proof`,
//! `tlog-witness`).

mod checkpoint;
mod cosignature;
mod edge;
mod hash;
mod note;
mod proof;
mod text;
mod tile;
mod tiles;
mod tree;
mod witness;

pub use checkpoint::{Checkpoint, CheckpointError};
pub use cosignature::{cosign, cosigned_at};
pub use edge::{Edge, EdgeError};
pub use hash::{HASH_BYTES, Hash, empty_root, entry_hash, leaf_hash, node_hash};
pub use note::{Algorithm, Note, NoteError, Signature, Signer, VerifierKey};
pub use proof::{InclusionProof, ProofError};
pub use tile::{Tile, TileKind, TilePathError, WIDTH};
pub use tiles::{MissingTile, Tiles};
pub use tree::{
    InvalidProof, Range, consistency_ranges, inclusion_ranges, root_of, verify_consistency, verify_inclusion,
};
pub use witness::{AddCheckpoint, AddCheckpointError};

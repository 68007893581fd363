//! The transparency log of the event log: the Merkle tree in SQL, and the code that extends, reads and verifies it.
//!
//! `checkpoint_signer/` adds the events of the log in order (`growing_tree.rs`) and signs checkpoints, with the keys of
//! `key_files.rs` and the records of `last_signed.rs`. `origin.rs` checks that the tree belongs to the log.
//! `tables.rs` is the SQL. `reading.rs` makes proofs. `verifying/` computes the whole tree again from the log and
//! compares it (`comparison.rs`), and checks which payloads may be missing (`dropped_events.rs`). `witness_client.rs`
//! shows checkpoints to witnesses, `witness/` is one. The formats that are hashed and signed are in
//! `transparency-log` and `events`. This crate knows no protocol and no client.

mod checkpoint_signer;
mod comparison;
mod dropped_events;
mod error;
mod growing_tree;
mod key_files;
mod last_signed;
mod origin;
mod reading;
mod signer_metrics;
mod tables;
mod verifying;
mod witness;
mod witness_client;

pub use checkpoint_signer::CheckpointSigner;
pub use dropped_events::{DroppedEvents, EventHeader};
pub use error::{KeepError, ReadError, VerifyError};
pub use key_files::{KeysUnusable, SigningKeys};
pub use last_signed::LastSigned;
pub use origin::{Disagreement, announcement, disagreement, lacks_signing_keys, renew_origin};
pub use reading::SignedCheckpoint;
pub use signer_metrics::CheckpointSignerMetrics;
pub use tables::{AuditTree, Tree};
pub use verifying::{KeptRecords, Verification, verify};
pub use witness::{Refused, Witness};
pub use witness_client::{WitnessAddress, push};

//! Proofs about the log.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A proof that the tree of `to` events begins with the tree of `from` events (RFC 9162, section 2.1.4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConsistencyProof {
    /// The smaller size.
    pub from: u64,
    /// The larger size.
    pub to: u64,
    /// The hashes of the proof in order, each in Base64.
    pub consistency: Vec<String>,
}

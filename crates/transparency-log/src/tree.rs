//! Roots and proofs of the tree (RFC 9162, section 2.1): the subtrees of a proof, and its verification.

use crate::hash::{Hash, node_hash};

/// The leaves from `start` up to, but not including, `end`. Every range here is a subtree of the tree: its root is the
/// hash of those leaves alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Range {
    /// The index of the first leaf.
    pub start: u64,
    /// The index after that of the last leaf.
    pub end: u64,
}

/// The proof is wrong: it belongs to another tree, or was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the proof does not hold")]
pub struct InvalidProof;

/// The root of the tree whose leaves have these hashes; `None` without leaves.
pub fn root_of(leaves: &[Hash]) -> Option<Hash> {
    match leaves {
        [] => None,
        [leaf] => Some(*leaf),
        leaves => {
            let (left, right) = leaves.split_at(half(leaves.len() as u64) as usize);
            Some(node_hash(&root_of(left)?, &root_of(right)?))
        }
    }
}

/// The subtrees whose roots prove that the leaf `index` is in a tree of `size` leaves, from the leaf up. This is `PATH`
/// of RFC 9162, section 2.1.3.1. `None` when the tree has no such leaf.
pub fn inclusion_ranges(index: u64, size: u64) -> Option<Vec<Range>> {
    if index >= size {
        return None;
    }
    let (mut start, mut end) = (0, size);
    let mut ranges = Vec::new();
    while end - start > 1 {
        let middle = start + half(end - start);
        if index < middle {
            ranges.push(Range { start: middle, end });
            end = middle;
        } else {
            ranges.push(Range { start, end: middle });
            start = middle;
        }
    }
    ranges.reverse();
    Some(ranges)
}

/// The subtrees whose roots prove that a tree of `to` leaves begins with the tree of `from` leaves: `PROOF` of RFC
/// 9162, section 2.1.4.1. The list is empty for the empty tree, and for equal sizes. `None` when `from` is the
/// larger.
pub fn consistency_ranges(from: u64, to: u64) -> Option<Vec<Range>> {
    if from > to {
        return None;
    }
    if from == 0 || from == to {
        return Some(Vec::new());
    }
    let (mut start, mut end) = (0, to);
    let mut ranges = Vec::new();
    // The old tree is `start..from` here; its root is known while it starts at 0.
    while from < end {
        let middle = start + half(end - start);
        if from <= middle {
            ranges.push(Range { start: middle, end });
            end = middle;
        } else {
            ranges.push(Range { start, end: middle });
            start = middle;
        }
    }
    if start > 0 {
        ranges.push(Range { start, end });
    }
    ranges.reverse();
    Some(ranges)
}

/// Verifies that the leaf `index` of the tree of `size` leaves with this root has this hash (RFC 9162, section
/// 2.1.3.2).
///
/// # Errors
/// When the proof does not show it.
pub fn verify_inclusion(
    leaf: Hash,
    index: u64,
    size: u64,
    proof: &[Hash],
    root: &Hash,
) -> Result<(), InvalidProof> {
    if index >= size {
        return Err(InvalidProof);
    }
    let (_, whole) = roots(index, size - 1, leaf, proof)?;
    holds(whole == *root)
}

/// Verifies that the tree of `to` leaves begins with that of `from` leaves (RFC 9162, section 2.1.4.2).
///
/// # Errors
/// When the proof does not show it.
pub fn verify_consistency(
    from: u64,
    from_root: &Hash,
    to: u64,
    to_root: &Hash,
    proof: &[Hash],
) -> Result<(), InvalidProof> {
    if from > to {
        return Err(InvalidProof);
    }
    if from == to {
        return holds(proof.is_empty() && from_root == to_root);
    }
    if from == 0 {
        return holds(proof.is_empty() && *from_root == crate::hash::empty_root());
    }
    let (mut node, mut last) = (from - 1, to - 1);
    while node % 2 == 1 {
        (node, last) = (node >> 1, last >> 1);
    }
    let (first, proof) = match node {
        0 => (from_root, proof),
        _ => proof.split_first().ok_or(InvalidProof)?,
    };
    let (old, whole) = roots(node, last, *first, proof)?;
    holds(old == *from_root && whole == *to_root)
}

/// Goes up from a node with this index and hash along the siblings in `proof`; `last` is the index of the last node on
/// the same level. Returns the root of the tree that ends with the node, and the root of the whole tree.
///
/// # Errors
/// When the proof is too long or too short.
fn roots(mut node: u64, mut last: u64, hash: Hash, proof: &[Hash]) -> Result<(Hash, Hash), InvalidProof> {
    let (mut old, mut whole) = (hash, hash);
    for sibling in proof {
        if last == 0 {
            return Err(InvalidProof);
        }
        if node % 2 == 1 || node == last {
            old = node_hash(sibling, &old);
            whole = node_hash(sibling, &whole);
            while node.is_multiple_of(2) && node != 0 {
                (node, last) = (node >> 1, last >> 1);
            }
        } else {
            whole = node_hash(&whole, sibling);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    holds(last == 0).map(|()| (old, whole))
}

fn holds(it_does: bool) -> Result<(), InvalidProof> {
    if it_does { Ok(()) } else { Err(InvalidProof) }
}

/// The number of leaves in the left child of a tree of `size` leaves: the largest power of two below `size`, which is
/// at least 2.
fn half(size: u64) -> u64 {
    1 << (u64::BITS - 1 - (size - 1).leading_zeros())
}

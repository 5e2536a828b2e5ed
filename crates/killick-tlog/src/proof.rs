//! Inclusion and consistency proofs: made from nodes, checked against roots (RFC 6962, section 2.1; RFC 9162, 2.1.3
//! and 2.1.4).

use crate::hash::Hash;
use crate::tree::Nodes;

/// Nodes a proof may have: two for each level of a tree of 2^63 leaves.
pub const PROOF_NODES_MAX: usize = 126;

/// Why a proof could not be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError<E> {
    /// The question makes no sense for a tree of this size.
    #[error("no such proof: {asked} of a tree of {size} leaves")]
    OutOfRange {
        /// The leaf, or the size of the earlier tree.
        asked: u64,
        /// Leaves of the tree.
        size: u64,
    },
    /// A node could not be had.
    #[error("a node of the tree could not be read")]
    Node(#[from] E),
}

/// Why a proof does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofRefusal {
    /// The question makes no sense for trees of these sizes.
    #[error("the proof is about a place that the tree does not have")]
    OutOfRange,
    /// The proof has too few or too many nodes.
    #[error("the proof has the wrong length")]
    Length,
    /// The proof leads to another root.
    #[error("the proof leads to another root")]
    Root,
}

/// Returns the root of the first `size` leaves.
///
/// # Errors
/// A node could not be had.
pub fn root_at<N: Nodes>(nodes: &N, size: u64) -> Result<Hash, N::Error> {
    if size == 0 {
        return Ok(Hash::of_empty_tree());
    }
    subtree(nodes, 0, size)
}

/// Makes the proof that leaf `index` is in the tree of the first `size` leaves.
///
/// # Errors
/// The tree has no such leaf, or a node could not be had.
pub fn inclusion<N: Nodes>(
    nodes: &N,
    index: u64,
    size: u64,
) -> Result<Vec<Hash>, ProofError<N::Error>> {
    if index >= size {
        return Err(ProofError::OutOfRange { asked: index, size });
    }
    let mut path = Vec::new();
    let (mut begin, mut end) = (0_u64, size);
    while end.saturating_sub(begin) > 1 {
        let middle = begin.saturating_add(split(end.saturating_sub(begin)));
        if index < middle {
            path.push(subtree(nodes, middle, end)?);
            end = middle;
        } else {
            path.push(subtree(nodes, begin, middle)?);
            begin = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// Makes the proof that the tree of `size` leaves only adds to the tree of its first `earlier` leaves.
///
/// # Errors
/// The earlier tree is not the smaller one, or a node could not be had.
pub fn consistency<N: Nodes>(
    nodes: &N,
    earlier: u64,
    size: u64,
) -> Result<Vec<Hash>, ProofError<N::Error>> {
    if earlier > size {
        return Err(ProofError::OutOfRange { asked: earlier, size });
    }
    if earlier == 0 || earlier == size {
        return Ok(Vec::new());
    }
    let mut path = Vec::new();
    let (mut begin, mut end) = (0_u64, size);
    // SUBPROOF of RFC 6962: walk down to the edge of the earlier tree.
    while end != earlier {
        let middle = begin.saturating_add(split(end.saturating_sub(begin)));
        if earlier <= middle {
            path.push(subtree(nodes, middle, end)?);
            end = middle;
        } else {
            path.push(subtree(nodes, begin, middle)?);
            begin = middle;
        }
    }
    if begin != 0 {
        path.push(subtree(nodes, begin, end)?);
    }
    path.reverse();
    Ok(path)
}

/// Checks that `leaf` stands at `index` in the tree of `size` leaves with this root.
///
/// # Errors
/// Says why the proof does not hold.
pub fn check_inclusion(
    leaf: &Hash,
    index: u64,
    size: u64,
    root: &Hash,
    proof: &[Hash],
) -> Result<(), ProofRefusal> {
    if index >= size {
        return Err(ProofRefusal::OutOfRange);
    }
    if proof.len() > PROOF_NODES_MAX {
        return Err(ProofRefusal::Length);
    }
    let (mut at, mut last) = (index, size.saturating_sub(1));
    let mut node = *leaf;
    for neighbour in proof {
        if last == 0 {
            return Err(ProofRefusal::Length);
        }
        if at & 1 == 1 || at == last {
            node = Hash::of_node(neighbour, &node);
            while at & 1 == 0 && at != 0 {
                (at, last) = (at >> 1, last >> 1);
            }
        } else {
            node = Hash::of_node(&node, neighbour);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    if last != 0 {
        return Err(ProofRefusal::Length);
    }
    if node == *root { Ok(()) } else { Err(ProofRefusal::Root) }
}

/// Checks that the tree of `size` leaves with root `root` only adds to the tree of `earlier` leaves with root
/// `earlier_root`.
///
/// # Errors
/// Says why the proof does not hold.
pub fn check_consistency(
    earlier: u64,
    earlier_root: &Hash,
    size: u64,
    root: &Hash,
    proof: &[Hash],
) -> Result<(), ProofRefusal> {
    if earlier > size {
        return Err(ProofRefusal::OutOfRange);
    }
    if proof.len() > PROOF_NODES_MAX {
        return Err(ProofRefusal::Length);
    }
    if earlier == 0 || earlier == size {
        let expected = if earlier == 0 { Hash::of_empty_tree() } else { *root };
        return match (proof.is_empty(), *earlier_root == expected) {
            (false, _) => Err(ProofRefusal::Length),
            (true, false) => Err(ProofRefusal::Root),
            (true, true) => Ok(()),
        };
    }
    let (mut at, mut last) = (earlier.saturating_sub(1), size.saturating_sub(1));
    while at & 1 == 1 {
        (at, last) = (at >> 1, last >> 1);
    }
    let mut rest = proof.iter();
    // A power of two is a node of the later tree itself, so the proof leaves it out.
    let first = if at == 0 { *earlier_root } else { *rest.next().ok_or(ProofRefusal::Length)? };
    let (mut old, mut new) = (first, first);
    for neighbour in rest {
        if last == 0 {
            return Err(ProofRefusal::Length);
        }
        if at & 1 == 1 || at == last {
            old = Hash::of_node(neighbour, &old);
            new = Hash::of_node(neighbour, &new);
            while at & 1 == 0 && at != 0 {
                (at, last) = (at >> 1, last >> 1);
            }
        } else {
            new = Hash::of_node(&new, neighbour);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    if last != 0 {
        return Err(ProofRefusal::Length);
    }
    if old == *earlier_root && new == *root { Ok(()) } else { Err(ProofRefusal::Root) }
}

/// Returns the largest power of two smaller than `leaves`, which must be at least two.
const fn split(leaves: u64) -> u64 {
    let highest =
        u64::BITS.saturating_sub(1).saturating_sub(leaves.saturating_sub(1).leading_zeros());
    1_u64 << highest
}

/// Returns the root over the leaves `begin..end`; both are edges that RFC 6962's splitting gives.
fn subtree<N: Nodes>(nodes: &N, begin: u64, end: u64) -> Result<Hash, N::Error> {
    let leaves = end.saturating_sub(begin);
    if leaves.is_power_of_two() {
        let level = leaves.trailing_zeros();
        return nodes.node(level, begin >> level);
    }
    let middle = begin.saturating_add(split(leaves));
    let left = subtree(nodes, begin, middle)?;
    let right = subtree(nodes, middle, end)?;
    Ok(Hash::of_node(&left, &right))
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]
mod tests;

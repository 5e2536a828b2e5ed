//! The tree as it grows: complete subtrees, and where they are read from.

use crate::hash::Hash;

/// Where nodes of complete subtrees come from: tiles, or memory.
pub trait Nodes {
    /// Why a node could not be had.
    type Error;

    /// Returns the root of the `index`-th complete subtree of `2^level` leaves.
    ///
    /// # Errors
    /// The node is not there, or cannot be read.
    fn node(&self, level: u32, index: u64) -> Result<Hash, Self::Error>;
}

/// The right edge of a tree: what is needed to append and to know the root, and no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    /// Roots of the complete subtrees, largest first: one for each set bit of `size`.
    roots: Vec<Hash>,
}

impl Frontier {
    /// Returns the edge of a tree without leaves.
    #[must_use]
    pub const fn empty() -> Self {
        Self { size: 0, roots: Vec::new() }
    }

    /// Reads the edge of a tree of `size` leaves from its nodes.
    ///
    /// # Errors
    /// A node could not be had.
    pub fn load<N: Nodes>(size: u64, nodes: &N) -> Result<Self, N::Error> {
        let mut roots = Vec::new();
        let mut begin = 0_u64;
        for level in (0..u64::BITS).rev() {
            let leaves = 1_u64 << level;
            if size & leaves != 0 {
                roots.push(nodes.node(level, begin >> level)?);
                begin = begin.saturating_add(leaves);
            }
        }
        Ok(Self { size, roots })
    }

    /// Appends one leaf.
    pub fn append(&mut self, leaf: Hash) {
        let mut node = leaf;
        let mut rest = self.size;
        while rest & 1 == 1 {
            if let Some(left) = self.roots.pop() {
                node = Hash::of_node(&left, &node);
            }
            rest >>= 1;
        }
        self.roots.push(node);
        self.size = self.size.saturating_add(1);
    }

    /// Returns how many leaves the tree has.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Returns the root of the tree.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut from_the_right = self.roots.iter().rev();
        let Some(first) = from_the_right.next() else { return Hash::of_empty_tree() };
        from_the_right.fold(*first, |right, left| Hash::of_node(left, &right))
    }
}

/// A whole tree in memory, every complete node kept: for small logs and for tests.
#[derive(Clone, Debug, Default)]
pub struct MemoryTree {
    levels: Vec<Vec<Hash>>,
}

impl MemoryTree {
    /// Appends one leaf.
    pub fn append(&mut self, leaf: Hash) {
        let mut node = leaf;
        for nodes in &mut self.levels {
            nodes.push(node);
            // An even count means that the node just pushed completes a pair.
            let [.., left, right] = nodes.as_slice() else { return };
            if nodes.len() % 2 != 0 {
                return;
            }
            node = Hash::of_node(left, right);
        }
        self.levels.push(vec![node]);
    }

    /// Returns how many leaves the tree has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.levels.first().map_or(0, |leaves| leaves.len() as u64)
    }
}

/// A node that a tree in memory does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the tree has no complete subtree {index} at level {level}")]
pub struct NoSuchNode {
    level: u32,
    index: u64,
}

impl Nodes for MemoryTree {
    type Error = NoSuchNode;

    fn node(&self, level: u32, index: u64) -> Result<Hash, NoSuchNode> {
        let at = usize::try_from(index).ok();
        self.levels
            .get(level as usize)
            .and_then(|nodes| nodes.get(at?))
            .copied()
            .ok_or(NoSuchNode { level, index })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loaded_edge_equals_the_grown_one() {
        let mut grown = Frontier::empty();
        let mut tree = MemoryTree::default();
        assert_eq!(Frontier::load(0, &tree), Ok(Frontier::empty()));
        for size in 1_u64..=600 {
            let leaf = Hash::of_leaf(&size.to_be_bytes());
            grown.append(leaf);
            tree.append(leaf);
            assert_eq!(tree.size(), size);
            assert_eq!(Frontier::load(size, &tree), Ok(grown.clone()));
        }
    }

    #[test]
    fn an_edge_cannot_be_loaded_past_the_tree() {
        let mut tree = MemoryTree::default();
        tree.append(Hash::of_leaf(b"only"));
        assert_eq!(Frontier::load(2, &tree), Err(NoSuchNode { level: 1, index: 0 }));
    }
}

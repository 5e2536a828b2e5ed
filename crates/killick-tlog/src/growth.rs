//! A tree that grows tile by tile: what a writer and a verifier both keep of it.

use crate::hash::Hash;
use crate::tile::{Content, TILE_HEIGHT, TILE_LEVEL_MAX, TILE_WIDTH, Tile, root_of};
use crate::tree::{Frontier, Nodes};

/// A tile with its hashes.
pub type Filled = (Tile, Vec<Hash>);

/// The right edge of a tree together with the hashes of every tile that is not yet full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Growth {
    edge: Frontier,
    /// For each level of tiles, lowest first, the hashes of its last tile.
    open: Vec<Vec<Hash>>,
}

impl Default for Growth {
    fn default() -> Self {
        Self { edge: Frontier::empty(), open: Vec::new() }
    }
}

impl Growth {
    /// Reads the growth of a tree of `size` leaves from its nodes.
    ///
    /// # Errors
    /// A node could not be had.
    pub fn load<N: Nodes>(size: u64, nodes: &N) -> Result<Self, N::Error> {
        let mut open = Vec::new();
        for level in 0..=TILE_LEVEL_MAX {
            let shift = TILE_HEIGHT.saturating_mul(u32::from(level));
            let count = size >> shift;
            if count == 0 {
                break;
            }
            let first = count.saturating_sub(count % TILE_WIDTH);
            open.push((first..count).map(|at| nodes.node(shift, at)).collect::<Result<_, _>>()?);
        }
        Ok(Self { edge: Frontier::load(size, nodes)?, open })
    }

    /// Appends one leaf and returns the tiles of hashes that it fills.
    pub fn append(&mut self, leaf: Hash) -> Vec<Filled> {
        self.edge.append(leaf);
        let mut filled = Vec::new();
        let mut hash = leaf;
        for level in 0..=TILE_LEVEL_MAX {
            let at = usize::from(level);
            if self.open.len() <= at {
                self.open.push(Vec::new());
            }
            let Some(open) = self.open.get_mut(at) else { break };
            open.push(hash);
            if (open.len() as u64) < TILE_WIDTH {
                break;
            }
            let hashes = std::mem::take(open);
            hash = root_of(&hashes);
            let count = self.edge.size() >> TILE_HEIGHT.saturating_mul(u32::from(level));
            let index = (count / TILE_WIDTH).saturating_sub(1);
            if let Some(tile) = Tile::new(Content::Hashes { level }, index, TILE_WIDTH) {
                filled.push((tile, hashes));
            }
        }
        filled
    }

    /// Returns the partial tiles as they stand.
    #[must_use]
    pub fn partial(&self) -> Vec<Filled> {
        (0..=TILE_LEVEL_MAX)
            .zip(&self.open)
            .filter_map(|(level, hashes)| {
                let count = self.edge.size() >> TILE_HEIGHT.saturating_mul(u32::from(level));
                let content = Content::Hashes { level };
                let tile = Tile::new(content, count / TILE_WIDTH, hashes.len() as u64)?;
                Some((tile, hashes.clone()))
            })
            .collect()
    }

    /// Returns how many leaves the tree has.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.edge.size()
    }

    /// Returns the root of the tree.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.edge.root()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::tile::TileNodes;
    use crate::tree::MemoryTree;

    #[test]
    fn the_tiles_of_a_growing_tree_are_those_that_its_size_needs() {
        let mut growth = Growth::default();
        let mut tree = MemoryTree::default();
        let mut files = BTreeMap::new();
        for number in 0..66_000_u64 {
            let leaf = Hash::of_leaf(&number.to_be_bytes());
            tree.append(leaf);
            for (tile, hashes) in growth.append(leaf) {
                assert!(tile.is_full());
                files.insert(tile.path(), bytes_of(&hashes));
            }
        }
        for (tile, hashes) in growth.partial() {
            files.insert(tile.path(), bytes_of(&hashes));
        }
        let needed: Vec<_> = Tile::between(0, 66_000)
            .iter()
            .filter(|tile| tile.content() != Content::Entries)
            .map(Tile::path)
            .collect();
        assert_eq!(files.len(), needed.len());
        assert!(needed.iter().all(|path| files.contains_key(path)));
        let loaded = Growth::load(66_000, &TileNodes::new(&files, 66_000)).unwrap();
        assert_eq!(loaded, growth);
        assert_eq!(Growth::load(66_000, &tree), Ok(growth));
        assert_eq!(Growth::load(0, &tree), Ok(Growth::default()));
    }

    fn bytes_of(hashes: &[Hash]) -> Vec<u8> {
        hashes.iter().flat_map(|hash| *hash.as_bytes()).collect()
    }
}

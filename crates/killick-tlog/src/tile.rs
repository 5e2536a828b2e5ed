//! Tiles: the files that hold the tree, and their paths (C2SP tlog-tiles).

use crate::files::LogFiles;
use crate::hash::Hash;
use crate::tree::Nodes;

/// Levels of the tree that one tile spans.
pub const TILE_HEIGHT: u32 = 8;
/// Hashes, or entries, in a full tile.
pub const TILE_WIDTH: u64 = 1 << TILE_HEIGHT;
/// Bytes of a full tile of hashes.
pub const TILE_BYTES_MAX: usize = 256 * Hash::LEN_BYTES;
/// The highest level a tile can have: eight levels of eight make the 64 bits of a size.
pub const TILE_LEVEL_MAX: u8 = 7;
/// The folder that holds every tile and every bundle of entries.
pub const TILE_FOLDER: &str = "tile";

/// What a tile holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Content {
    /// The entries themselves, framed one after another.
    Entries,
    /// Hashes of subtrees of `256^level` leaves.
    Hashes {
        /// The level, counted in tiles.
        level: u8,
    },
}

/// One file of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tile {
    content: Content,
    index: u64,
    /// Hashes or entries in it, 1 to 256; below 256 the tile is partial.
    width: u16,
}

impl Tile {
    /// Names a tile; `None` when there is none of that width or level.
    #[must_use]
    pub fn new(content: Content, index: u64, width: u64) -> Option<Self> {
        let level_is_right = match content {
            Content::Entries => true,
            Content::Hashes { level } => level <= TILE_LEVEL_MAX,
        };
        let width_is_right = (1..=TILE_WIDTH).contains(&width);
        let width = u16::try_from(width).ok()?;
        (level_is_right && width_is_right).then_some(Self { content, index, width })
    }

    /// Returns what the tile holds.
    #[must_use]
    pub const fn content(&self) -> Content {
        self.content
    }

    /// Returns which tile of its level it is.
    #[must_use]
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// Returns how many hashes or entries it holds.
    #[must_use]
    pub const fn width(&self) -> u64 {
        self.width as u64
    }

    /// Says whether the tile holds all it ever will.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.width() == TILE_WIDTH
    }

    /// Returns the path of the tile from the log's directory.
    #[must_use]
    pub fn path(&self) -> String {
        let folder = match self.content {
            Content::Entries => "entries".to_owned(),
            Content::Hashes { level } => level.to_string(),
        };
        let partial = if self.is_full() { String::new() } else { format!(".p/{}", self.width) };
        format!("{TILE_FOLDER}/{folder}/{}{partial}", index_path(self.index))
    }

    /// Reads a path back; `None` for anything but the one path that a tile has.
    #[must_use]
    pub fn parse_path(path: &str) -> Option<Self> {
        let (folder, rest) = path.strip_prefix(TILE_FOLDER)?.strip_prefix('/')?.split_once('/')?;
        let content = match folder {
            "entries" => Content::Entries,
            level => Content::Hashes { level: level.parse().ok()? },
        };
        let (number, width) = match rest.split_once(".p/") {
            Some((number, width)) => (number, width.parse().ok()?),
            None => (rest, TILE_WIDTH),
        };
        let mut index = 0_u64;
        for group in number.split('/') {
            let digits = group.strip_prefix('x').unwrap_or(group);
            index = index.checked_mul(1_000)?.checked_add(digits.parse().ok()?)?;
        }
        let tile = Self::new(content, index, width)?;
        // Leading zeros, a plus sign or a missing `x` give another path for the same tile.
        (tile.path() == path).then_some(tile)
    }

    /// Lists the tiles that a log must write to go from `published` leaves to `size`, lowest level first.
    #[must_use]
    pub fn between(published: u64, size: u64) -> Vec<Self> {
        let mut tiles = Vec::new();
        tiles.extend(of_level(Content::Entries, published, size));
        for level in 0..=TILE_LEVEL_MAX {
            let shift = TILE_HEIGHT.saturating_mul(u32::from(level));
            let (before, after) = (published >> shift, size >> shift);
            if after == 0 {
                break;
            }
            tiles.extend(of_level(Content::Hashes { level }, before, after));
        }
        tiles
    }

    /// Lists the partial tiles of a log of `size` leaves.
    #[must_use]
    pub fn partial_of(size: u64) -> Vec<Self> {
        let contents = (0..=TILE_LEVEL_MAX).map(|level| Content::Hashes { level });
        std::iter::once(Content::Entries)
            .chain(contents)
            .filter_map(|content| {
                let level = match content {
                    Content::Entries => 0,
                    Content::Hashes { level } => u32::from(level),
                };
                let count = size >> TILE_HEIGHT.saturating_mul(level);
                Self::new(content, count / TILE_WIDTH, count % TILE_WIDTH)
            })
            .collect()
    }
}

/// Writes a tile's number in groups of three digits, all but the last behind an `x`.
#[must_use]
pub fn index_path(index: u64) -> String {
    let mut path = format!("{:03}", index % 1_000);
    let mut rest = index / 1_000;
    while rest > 0 {
        path = format!("x{:03}/{path}", rest % 1_000);
        rest /= 1_000;
    }
    path
}

fn of_level(content: Content, before: u64, after: u64) -> impl Iterator<Item = Tile> {
    let (first, last) = (before / TILE_WIDTH, after / TILE_WIDTH);
    let full = (first..last).filter_map(move |index| Tile::new(content, index, TILE_WIDTH));
    let rest = if before < after { after % TILE_WIDTH } else { 0 };
    full.chain(Tile::new(content, last, rest))
}

/// Why a node could not be read from the tiles.
#[derive(Debug, thiserror::Error)]
pub enum TileError {
    /// A tile is missing or has another size than it must.
    #[error("tile `{path}` is missing or damaged")]
    Damaged {
        /// Path of the tile.
        path: String,
    },
    /// A tile is there and cannot be read.
    #[error("tile `{path}` cannot be read")]
    Read {
        /// Path of the tile.
        path: String,
        /// What the file system said.
        source: std::io::Error,
    },
}

/// The nodes of a log of a given size, read from its tiles.
#[derive(Debug)]
pub struct TileNodes<'a, F> {
    files: &'a F,
    size: u64,
}

impl<'a, F: LogFiles> TileNodes<'a, F> {
    /// Reads from the tiles that a log of `size` leaves has.
    #[must_use]
    pub const fn new(files: &'a F, size: u64) -> Self {
        Self { files, size }
    }

    fn tile(&self, level: u8, index: u64) -> Result<Vec<u8>, TileError> {
        let content = Content::Hashes { level };
        let hashes = self.size >> TILE_HEIGHT.saturating_mul(u32::from(level));
        let width = hashes.saturating_sub(index.saturating_mul(TILE_WIDTH)).min(TILE_WIDTH);
        // A full tile may have replaced the partial one meanwhile.
        let mut missing = format!("{TILE_FOLDER}/{level}/{}", index_path(index));
        for width in [width, TILE_WIDTH] {
            let Some(tile) = Tile::new(content, index, width) else { continue };
            let path = tile.path();
            match self.files.read(&path) {
                Ok(Some(bytes)) if bytes.len() as u64 == width.saturating_mul(HASH_BYTES) => {
                    return Ok(bytes);
                }
                Ok(Some(_)) => return Err(TileError::Damaged { path }),
                Ok(None) => missing = path,
                Err(source) => return Err(TileError::Read { path, source }),
            }
        }
        Err(TileError::Damaged { path: missing })
    }
}

const HASH_BYTES: u64 = Hash::LEN_BYTES as u64;

impl<F: LogFiles> Nodes for TileNodes<'_, F> {
    type Error = TileError;

    fn node(&self, level: u32, index: u64) -> Result<Hash, TileError> {
        let tile_level = u8::try_from(level / TILE_HEIGHT).unwrap_or(u8::MAX);
        let inside = level % TILE_HEIGHT;
        // The subtree is a run of 2^inside hashes, which never crosses the edge of a tile.
        let (first, run) = (index << inside, 1_usize << inside);
        let tile_index = first / TILE_WIDTH;
        let bytes = self.tile(tile_level, tile_index)?;
        let skip = usize::try_from(first % TILE_WIDTH).unwrap_or(usize::MAX);
        let run: Vec<Hash> = hashes_of(&bytes).skip(skip).take(run).collect();
        let is_whole = run.len() == 1_usize << inside;
        is_whole.then(|| root_of(&run)).ok_or_else(|| TileError::Damaged {
            path: format!("{TILE_FOLDER}/{tile_level}/{}", index_path(tile_index)),
        })
    }
}

/// Returns the hashes in the bytes of a tile; bytes that make no whole hash are left out.
pub fn hashes_of(bytes: &[u8]) -> impl Iterator<Item = Hash> {
    bytes.as_chunks().0.iter().map(|bytes| Hash::from_bytes(*bytes))
}

/// Returns the root over hashes, as if each were a leaf's.
#[must_use]
pub fn root_of(hashes: &[Hash]) -> Hash {
    let mut edge = crate::tree::Frontier::empty();
    for hash in hashes {
        edge.append(*hash);
    }
    edge.root()
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::proof;
    use crate::tree::{Frontier, MemoryTree};

    fn hashes(level: u8, index: u64, width: u64) -> Tile {
        Tile::new(Content::Hashes { level }, index, width).unwrap()
    }

    #[test]
    fn paths_are_those_of_the_specification() {
        assert_eq!(hashes(0, 1_234_067, 256).path(), "tile/0/x001/x234/067");
        assert_eq!(hashes(1, 0, 256).path(), "tile/1/000");
        assert_eq!(hashes(2, 66, 5).path(), "tile/2/066.p/5");
        let bundle = Tile::new(Content::Entries, 273, 112).unwrap();
        assert_eq!(bundle.path(), "tile/entries/273.p/112");
        assert_eq!(Tile::new(Content::Entries, 0, 0), None);
        assert_eq!(Tile::new(Content::Entries, 0, 257), None);
        assert_eq!(Tile::new(Content::Hashes { level: 8 }, 0, 1), None);
    }

    #[test]
    fn the_tiles_of_seventy_thousand_leaves_are_those_of_the_specification() {
        let tiles = Tile::between(0, 70_000);
        let paths: Vec<_> = tiles.iter().map(Tile::path).collect();
        assert!(paths.contains(&"tile/0/272".to_owned()));
        assert!(paths.contains(&"tile/0/273.p/112".to_owned()));
        assert!(paths.contains(&"tile/1/000".to_owned()));
        assert!(paths.contains(&"tile/1/001.p/17".to_owned()));
        assert!(paths.contains(&"tile/2/000.p/1".to_owned()));
        assert_eq!(paths.len(), 2 * 274 + 2 + 1);
        let partial: Vec<_> = Tile::partial_of(70_000).iter().map(Tile::path).collect();
        assert_eq!(
            partial,
            ["tile/entries/273.p/112", "tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1"]
        );
    }

    #[test]
    fn another_spelling_of_a_path_is_no_tile() {
        for path in [
            "tile/0/x001/067/",
            "tile/0/x1/067",
            "tile/0/1067",
            "tile/0/x000/067",
            "tile/0/067.p/256",
            "tile/0/067.p/0",
            "tile/0/067.p/+5",
            "tile/00/067",
            "tile/8/067",
            "tile/entries/../0/067",
            "tile/0/-67",
            "entries/067",
            "tile/0/x999/x999/x999/x999/x999/x999/x999/999",
        ] {
            assert_eq!(Tile::parse_path(path), None, "{path}");
        }
    }

    #[test]
    fn nothing_is_written_when_nothing_was_added() {
        assert!(Tile::between(300, 300).is_empty());
        assert!(Tile::between(512, 512).is_empty());
        assert_eq!(
            Tile::between(255, 256).iter().map(Tile::path).collect::<Vec<_>>(),
            ["tile/entries/000", "tile/0/000", "tile/1/000.p/1"]
        );
    }

    /// Writes the tiles of a tree in memory, for the sizes at which it was published.
    fn published(tree: &MemoryTree, sizes: &[u64]) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut before = 0;
        for &size in sizes {
            for tile in Tile::between(before, size) {
                let Content::Hashes { level } = tile.content() else { continue };
                let first = tile.index() * TILE_WIDTH;
                let bytes = (first..first + tile.width())
                    .flat_map(|at| *tree.node(u32::from(level) * 8, at).unwrap().as_bytes())
                    .collect();
                files.insert(tile.path(), bytes);
            }
            before = size;
        }
        files
    }

    #[test]
    fn edges_and_proofs_come_out_of_tiles_as_out_of_memory() {
        let mut tree = MemoryTree::default();
        for number in 0..66_000_u32 {
            tree.append(Hash::of_leaf(&number.to_be_bytes()));
        }
        let files = published(&tree, &[100, 511, 70 * 256, 65_536, 66_000]);
        for size in [100, 511, 70 * 256, 65_536, 66_000] {
            let nodes = TileNodes::new(&files, size);
            assert_eq!(Frontier::load(size, &nodes).unwrap(), Frontier::load(size, &tree).unwrap());
            let index = size / 3;
            let proof = proof::inclusion(&nodes, index, size).unwrap();
            assert_eq!(proof, proof::inclusion(&tree, index, size).unwrap());
            let proof = proof::consistency(&nodes, size / 2, size).unwrap();
            assert_eq!(proof, proof::consistency(&tree, size / 2, size).unwrap());
        }
    }

    #[test]
    fn a_missing_or_short_tile_is_an_error_not_a_hash() {
        let mut tree = MemoryTree::default();
        (0..300_u32).for_each(|number| tree.append(Hash::of_leaf(&number.to_be_bytes())));
        let mut files = published(&tree, &[300]);
        files.get_mut("tile/0/001.p/44").unwrap().pop();
        assert!(matches!(
            Frontier::load(300, &TileNodes::new(&files, 300)),
            Err(TileError::Damaged { path }) if path == "tile/0/001.p/44"
        ));
        files.remove("tile/0/001.p/44");
        assert!(Frontier::load(300, &TileNodes::new(&files, 300)).is_err());
    }

    proptest::proptest! {
        #[test]
        fn a_path_reads_back_as_its_tile(level in 0_u8..=7, index: u64, width in 1_u64..=256) {
            let tile = hashes(level, index, width);
            proptest::prop_assert_eq!(Tile::parse_path(&tile.path()), Some(tile));
            let bundle = Tile::new(Content::Entries, index, width).unwrap();
            proptest::prop_assert_eq!(Tile::parse_path(&bundle.path()), Some(bundle));
        }

        #[test]
        fn a_text_is_never_a_panic(text in "(tile/)?[0-9a-z/x.p+-]{0,40}") {
            let _ = Tile::parse_path(&text);
        }
    }
}

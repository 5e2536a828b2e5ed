//! One pass over the entries that builds every tile again.

use std::collections::BTreeMap;

use super::{Findings, Problem, Warning};
use crate::bundle;
use crate::checkpoint::Checkpoint;
use crate::entry::Entry;
use crate::files::LogFiles;
use crate::growth::Growth;
use crate::hash::Hash;
use crate::tile::{Content, TILE_FOLDER, TILE_HEIGHT, TILE_WIDTH, Tile, hashes_of};

pub(super) struct Walked {
    pub(super) growth: Growth,
    pub(super) last_time_unix_ms: Option<u64>,
    pub(super) problems: Findings<Problem>,
    pub(super) warnings: Findings<Warning>,
}

/// What the root of the first entries must be, and what it means if it is not.
struct Expected {
    root: Hash,
    otherwise: Problem,
}

struct Walk<'a, F> {
    files: &'a F,
    /// Every tile and bundle that is stored, by place, with the widths it is stored in.
    stored: BTreeMap<(Content, u64), Vec<Tile>>,
    signed_size: u64,
    expected: BTreeMap<u64, Vec<Expected>>,
    growth: Growth,
    last_time_unix_ms: Option<u64>,
    problems: Findings<Problem>,
    warnings: Findings<Warning>,
}

pub(super) fn walk<F: LogFiles>(
    files: &F,
    checkpoint: Option<&Checkpoint>,
    published: &[Checkpoint],
    problems: Findings<Problem>,
) -> Walked {
    let signed_size = checkpoint.map_or(0, Checkpoint::size);
    let mut walk = Walk {
        files,
        stored: BTreeMap::new(),
        signed_size,
        expected: BTreeMap::new(),
        growth: Growth::default(),
        last_time_unix_ms: None,
        problems,
        warnings: Findings::default(),
    };
    walk.list();
    if let Some(checkpoint) = checkpoint {
        walk.expect(checkpoint, Problem::Root { size: checkpoint.size() });
    }
    for published in published {
        walk.expect(published, Problem::Forked { size: published.size() });
    }
    walk.compare_roots();
    walk.entries();
    walk.finish(published)
}

impl<F: LogFiles> Walk<'_, F> {
    fn list(&mut self) {
        match self.files.list(TILE_FOLDER) {
            Ok(paths) => {
                for path in paths {
                    match Tile::parse_path(&path) {
                        Some(tile) => self
                            .stored
                            .entry((tile.content(), tile.index()))
                            .or_default()
                            .push(tile),
                        None => self.problems.push(Problem::Stray { path }),
                    }
                }
            }
            Err(error) => self
                .problems
                .push(Problem::Damaged { path: TILE_FOLDER.to_owned(), why: error.to_string() }),
        }
    }

    fn expect(&mut self, checkpoint: &Checkpoint, otherwise: Problem) {
        let expected = Expected { root: checkpoint.root(), otherwise };
        self.expected.entry(checkpoint.size()).or_default().push(expected);
    }

    fn compare_roots(&mut self) {
        let Some(expected) = self.expected.remove(&self.growth.size()) else { return };
        let root = self.growth.root();
        for expected in expected {
            if expected.root != root {
                self.problems.push(expected.otherwise);
            }
        }
    }

    /// Reads bundle after bundle, up to the first that is missing, damaged or not full.
    fn entries(&mut self) {
        let mut index = 0_u64;
        loop {
            let mut stored = self.stored.remove(&(Content::Entries, index)).unwrap_or_default();
            stored.sort_unstable_by_key(Tile::width);
            let Some(widest) = stored.pop() else { return };
            let is_taken_in = self.bundle(&widest, &stored).is_some();
            if !is_taken_in || !widest.is_full() {
                return;
            }
            index = index.saturating_add(1);
        }
    }

    /// Reads one bundle, in every width that it is stored in, and takes in its entries.
    fn bundle(&mut self, widest: &Tile, narrower: &[Tile]) -> Option<()> {
        let bytes = self.read(widest)?;
        let entries = match bundle::entries(&bytes) {
            Ok(entries) if entries.len() as u64 == widest.width() => entries,
            Ok(_) => return self.damaged(widest, "it does not hold as many entries as it says"),
            Err(error) => return self.damaged(widest, &error.to_string()),
        };
        for tile in narrower {
            let part = self.read(tile)?;
            let count = bundle::entries(&part).map(|entries| entries.len() as u64);
            if !bytes.starts_with(&part) || count != Ok(tile.width()) {
                let entry = self.growth.size();
                self.problems.push(Problem::Tile { path: tile.path(), entry });
            }
        }
        for entry in entries {
            self.entry(entry);
        }
        Some(())
    }

    fn entry(&mut self, bytes: &[u8]) {
        let index = self.growth.size();
        match Entry::decode(bytes) {
            Ok(entry) => {
                let before = self.last_time_unix_ms.unwrap_or(0);
                if let by_ms @ 1.. = before.saturating_sub(entry.time_unix_ms) {
                    self.warnings.push(Warning::TimeWentBack { index, by_ms });
                }
                self.last_time_unix_ms = Some(entry.time_unix_ms);
            }
            Err(why) => self.problems.push(Problem::Entry { index, why }),
        }
        let filled = self.growth.append(Hash::of_leaf(bytes));
        self.compare_roots();
        for (tile, hashes) in filled {
            self.compare_tile(&tile, &hashes);
        }
    }

    /// Compares a tile, in every width that it is stored in, with the hashes that the entries give.
    fn compare_tile(&mut self, place: &Tile, hashes: &[Hash]) {
        let (content, index) = (place.content(), place.index());
        let shift = shift(content);
        let stored = self.stored.remove(&(content, index)).unwrap_or_default();
        let signed = self.signed_size >> shift;
        let needed = signed.saturating_sub(index.saturating_mul(TILE_WIDTH)).min(TILE_WIDTH);
        if stored.iter().map(Tile::width).max().unwrap_or(0) < needed
            && let Some(tile) = Tile::new(content, index, needed)
        {
            self.problems.push(Problem::Missing { path: tile.path() });
        }
        for tile in stored {
            let Some(bytes) = self.read(&tile) else { continue };
            let width = usize::try_from(tile.width()).unwrap_or(usize::MAX);
            let is_whole = bytes.len() == width.saturating_mul(Hash::LEN_BYTES);
            let same = hashes_of(&bytes).zip(hashes).take_while(|(a, b)| a == *b).count();
            if !is_whole || same != width {
                let at = index.saturating_mul(TILE_WIDTH).saturating_add(same as u64);
                let entry = at << shift;
                self.problems.push(Problem::Tile { path: tile.path(), entry });
            }
        }
    }

    fn finish(mut self, published: &[Checkpoint]) -> Walked {
        for (tile, hashes) in self.growth.partial() {
            self.compare_tile(&tile, &hashes);
        }
        for tile in std::mem::take(&mut self.stored).into_values().flatten() {
            self.problems.push(Problem::Stray { path: tile.path() });
        }
        let entries = self.growth.size();
        if entries < self.signed_size {
            self.problems.push(Problem::EntriesMissing { from: entries, to: self.signed_size });
        }
        for published in published.iter().filter(|published| published.size() > entries) {
            self.problems.push(Problem::RolledBack { published: published.size(), entries });
        }
        Walked {
            growth: self.growth,
            last_time_unix_ms: self.last_time_unix_ms,
            problems: self.problems,
            warnings: self.warnings,
        }
    }

    fn read(&mut self, tile: &Tile) -> Option<Vec<u8>> {
        let path = tile.path();
        match self.files.read(&path) {
            Ok(Some(bytes)) => return Some(bytes),
            Ok(None) => self.problems.push(Problem::Missing { path }),
            Err(error) => self.problems.push(Problem::Damaged { path, why: error.to_string() }),
        }
        None
    }

    fn damaged(&mut self, tile: &Tile, why: &str) -> Option<()> {
        self.problems.push(Problem::Damaged { path: tile.path(), why: why.to_owned() });
        None
    }
}

fn shift(content: Content) -> u32 {
    match content {
        Content::Entries => 0,
        Content::Hashes { level } => TILE_HEIGHT.saturating_mul(u32::from(level)),
    }
}

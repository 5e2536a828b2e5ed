//! The tail: the entries that are durable and not yet in full bundles, in memory.

use std::collections::VecDeque;
use std::sync::Arc;

/// Entries held in memory until they are in full bundles; past them none is taken.
pub const TAIL_ENTRIES_MAX: usize = 65_536;
/// Bytes held in memory until they are in full bundles; past them none is taken.
pub const TAIL_BYTES_MAX: usize = 256 << 20;

/// An entry with its encrypted details.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) entry: Arc<[u8]>,
    pub(super) sealed: Arc<[u8]>,
}

impl Kept {
    pub(super) fn new(entry: &[u8], sealed: &[u8]) -> Self {
        Self { entry: entry.into(), sealed: sealed.into() }
    }

    fn len_bytes(&self) -> usize {
        self.entry.len().saturating_add(self.sealed.len())
    }
}

/// Entries `start..end`.
#[derive(Debug)]
pub(super) struct Tail {
    start: u64,
    kept: VecDeque<Kept>,
    bytes: usize,
}

impl Tail {
    pub(super) fn new(start: u64, kept: impl IntoIterator<Item = Kept>) -> Self {
        let mut tail = Self { start, kept: VecDeque::new(), bytes: 0 };
        kept.into_iter().for_each(|kept| tail.push(kept));
        tail
    }

    pub(super) fn push(&mut self, kept: Kept) {
        self.bytes = self.bytes.saturating_add(kept.len_bytes());
        self.kept.push_back(kept);
    }

    pub(super) fn start(&self) -> u64 {
        self.start
    }

    pub(super) fn end(&self) -> u64 {
        self.start.saturating_add(self.kept.len() as u64)
    }

    pub(super) fn is_over_its_limit(&self) -> bool {
        self.kept.len() > TAIL_ENTRIES_MAX || self.bytes > TAIL_BYTES_MAX
    }

    pub(super) fn at(&self, index: u64) -> Option<&Kept> {
        let at = usize::try_from(index.checked_sub(self.start)?).ok()?;
        self.kept.get(at)
    }

    /// Returns the entries from `index` on.
    pub(super) fn from(&self, index: u64) -> Vec<Kept> {
        let skip = usize::try_from(index.saturating_sub(self.start)).unwrap_or(usize::MAX);
        self.kept.iter().skip(skip).cloned().collect()
    }

    /// Lets go of the entries before `index`.
    pub(super) fn begin_at(&mut self, index: u64) {
        while self.start < index {
            let Some(gone) = self.kept.pop_front() else { break };
            self.bytes = self.bytes.saturating_sub(gone.len_bytes());
            self.start = self.start.saturating_add(1);
        }
    }
}

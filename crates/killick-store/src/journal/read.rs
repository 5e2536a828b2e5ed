//! Reading: from memory what is in the tail, from bundles what is before it.

use std::sync::Arc;

use killick_tlog::tile::{Content, TILE_WIDTH, Tile};
use killick_tlog::{Entry, bundle};

use super::error::JournalError;
use super::publish::{details_of, details_path};
use super::tail::Kept;
use super::{Details, Journal, Shared};

/// Entries that a search looks through, from the last one back.
pub const FIND_SCAN_ENTRIES_MAX: u64 = 100_000;

/// An entry as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// Its place in the log.
    pub index: u64,
    /// The entry.
    pub entry: Entry,
    /// Its details.
    pub details: Details,
}

impl Journal {
    /// Returns how many entries are durable.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.inner.shared.tail.read().end()
    }

    /// Says whether the record has no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads one entry. It may read a file: async callers go through a blocking thread.
    ///
    /// # Errors
    /// There is no such entry, or it cannot be read.
    pub fn read(&self, index: u64) -> Result<Stored, JournalError> {
        self.iter_from(index).next().unwrap_or(Err(JournalError::NoSuchEntry { index }))
    }

    /// Reads the last `entries_max` entries, oldest first.
    ///
    /// # Errors
    /// An entry cannot be read.
    pub fn tail(&self, entries_max: u64) -> Result<Vec<Stored>, JournalError> {
        let end = self.len();
        let entries = self.iter_from(end.saturating_sub(entries_max));
        entries.take_while(|stored| stored.as_ref().map_or(true, |s| s.index < end)).collect()
    }

    /// Reads entries from `index` on, up to the last that is durable by then.
    #[must_use]
    pub fn iter_from(&self, index: u64) -> Entries {
        Entries { shared: Arc::clone(&self.inner.shared), next: index, bundle: None }
    }

    /// Finds the entries of a call among the last [`FIND_SCAN_ENTRIES_MAX`], oldest first.
    ///
    /// # Errors
    /// An entry cannot be read.
    pub fn find_call(&self, call: &str) -> Result<Vec<Stored>, JournalError> {
        let first = self.len().saturating_sub(FIND_SCAN_ENTRIES_MAX);
        let mut entries = self.iter_from(first);
        let mut found = Vec::new();
        while let Some(kept) = entries.next_kept() {
            let (index, kept) = kept?;
            let entry = Entry::decode(&kept.entry)?;
            if entry.header.call.as_deref() == Some(call) {
                found.push(entries.shared.open(index, &kept)?);
            }
        }
        Ok(found)
    }
}

/// Entries one after another.
pub struct Entries {
    shared: Arc<Shared>,
    next: u64,
    /// The bundle that was read last, by its place.
    bundle: Option<(u64, Vec<Kept>)>,
}

impl Entries {
    fn next_kept(&mut self) -> Option<Result<(u64, Kept), JournalError>> {
        let index = self.next;
        let tail = self.shared.tail.read();
        if index >= tail.end() {
            return None;
        }
        let kept = tail.at(index).cloned();
        drop(tail);
        self.next = index.saturating_add(1);
        Some(kept.map_or_else(|| self.read_bundle(index), Ok).map(|kept| (index, kept)))
    }

    fn read_bundle(&mut self, index: u64) -> Result<Kept, JournalError> {
        let place = index / TILE_WIDTH;
        if self.bundle.as_ref().is_none_or(|(read, _)| *read != place) {
            self.bundle = Some((place, self.shared.bundle(place)?));
        }
        let at = usize::try_from(index % TILE_WIDTH).ok();
        self.bundle
            .as_ref()
            .and_then(|(_, bundle)| bundle.get(at?))
            .cloned()
            .ok_or(JournalError::NoSuchEntry { index })
    }
}

impl Iterator for Entries {
    type Item = Result<Stored, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        let kept = self.next_kept()?;
        Some(kept.and_then(|(index, kept)| self.shared.open(index, &kept)))
    }
}

impl Shared {
    fn bundle(&self, place: u64) -> Result<Vec<Kept>, JournalError> {
        let tile = Tile::new(Content::Entries, place, TILE_WIDTH);
        let path = tile.map(|tile| tile.path()).unwrap_or_default();
        let damaged = || JournalError::corrupt(format!("`{path}` is missing or damaged"));
        let read = |path: &str| self.fs.read(path).map_err(|error| JournalError::of_read(&error));
        let bytes = read(&path)?.ok_or_else(damaged)?;
        let entries = bundle::entries(&bytes).map_err(|_| damaged())?;
        let details = read(&details_path(place))?;
        let sealed = match &details {
            Some(details) => details_of(details).ok_or_else(|| {
                JournalError::corrupt(format!("`{}` is damaged", details_path(place)))
            })?,
            None => Vec::new(),
        };
        let sealed = sealed.into_iter().chain(std::iter::repeat(&[] as &[u8]));
        Ok(entries
            .into_iter()
            .zip(sealed)
            .map(|(entry, sealed)| Kept::new(entry, sealed))
            .collect())
    }

    fn open(&self, index: u64, kept: &Kept) -> Result<Stored, JournalError> {
        let entry = Entry::decode(&kept.entry)?;
        let details = match &entry.details_commitment {
            None => Details::Absent,
            Some(_) if kept.sealed.is_empty() => Details::Erased,
            Some(commitment) => self.keys.open(commitment, &kept.sealed)?,
        };
        Ok(Stored { index, entry, details })
    }
}

//! The publisher: one thread that puts durable entries into bundles and tiles, and signs what is there.

use std::sync::Arc;
use std::time::Duration;

use killick_tlog::bundle;
use killick_tlog::checkpoint::{CHECKPOINT_FILE, Checkpoint};
use killick_tlog::growth::{Filled, Growth};
use killick_tlog::tile::{Content, TILE_WIDTH, Tile, index_path};
use killick_tlog::{Hash, SigningKey};
use parking_lot::{Condvar, Mutex, MutexGuard};

use super::Shared;
use super::error::JournalError;
use super::frame;
use super::fs;
use super::sink::Witnesses;
use super::tail::Kept;

/// The folder of encrypted details.
pub(super) const DETAILS_FOLDER: &str = "details";

const SCRATCH: &str = "tmp/publish";

/// What others know of the publisher, and ask of it.
pub(super) struct Publication {
    inner: Mutex<Inner>,
    changed: Condvar,
    /// Held while bundles and tiles are written, and by a verifier who must not see them change.
    files: Mutex<()>,
}

struct Inner {
    published: u64,
    head_start: u64,
    /// Counts attempts, so that one who asks can wait for the next.
    attempts: u64,
    asked: bool,
    is_closing: bool,
    failure: Option<Arc<str>>,
}

impl Publication {
    pub(super) fn new(published: u64, head_start: u64) -> Self {
        let inner = Inner {
            published,
            head_start,
            attempts: 0,
            asked: true,
            is_closing: false,
            failure: None,
        };
        Self { inner: Mutex::new(inner), changed: Condvar::new(), files: Mutex::new(()) }
    }

    /// Keeps bundles and tiles as they are until the guard is dropped.
    pub(super) fn hold_still(&self) -> MutexGuard<'_, ()> {
        self.files.lock()
    }

    pub(super) fn published(&self) -> u64 {
        self.inner.lock().published
    }

    pub(super) fn failure(&self) -> Option<Arc<str>> {
        self.inner.lock().failure.clone()
    }

    pub(super) fn why(&self) -> Arc<str> {
        self.failure().unwrap_or_else(|| "it is slower than entries come in".into())
    }

    pub(super) fn set_head_start(&self, start: u64) {
        self.inner.lock().head_start = start;
    }

    pub(super) fn close(&self) {
        self.inner.lock().is_closing = true;
        self.changed.notify_all();
    }

    /// Has everything up to `size` published, and waits for the attempt.
    pub(super) fn ask(&self, size: u64) -> Result<u64, JournalError> {
        let mut inner = self.inner.lock();
        // An attempt under way may have begun before the entries were there: wait for the one behind it.
        let behind = inner.attempts.saturating_add(2);
        loop {
            if inner.published >= size {
                return Ok(inner.published);
            }
            if inner.attempts >= behind
                && let Some(why) = &inner.failure
            {
                return Err(JournalError::Unpublished(Arc::clone(why)));
            }
            if inner.is_closing {
                return Err(JournalError::Closed);
            }
            inner.asked = true;
            self.changed.notify_all();
            self.changed.wait(&mut inner);
        }
    }

    /// Waits for the next attempt; says whether it is the last.
    fn wait(&self, interval: Duration) -> bool {
        let mut inner = self.inner.lock();
        if !inner.asked && !inner.is_closing {
            self.changed.wait_for(&mut inner, interval);
        }
        inner.asked = false;
        inner.is_closing
    }
}

pub(super) struct Publisher {
    pub(super) shared: Arc<Shared>,
    pub(super) key: SigningKey,
    pub(super) interval: Duration,
    /// The tree as it was published last.
    pub(super) growth: Growth,
    /// Whether there is a checkpoint at all.
    pub(super) has_checkpoint: bool,
    pub(super) witnesses: Witnesses,
}

impl Publisher {
    /// Publishes a log that has no checkpoint yet, so that one is never without from here on.
    pub(super) fn publish_first(&mut self) -> Result<(), JournalError> {
        if self.has_checkpoint {
            return Ok(());
        }
        match self.publish() {
            // A full disk can still be read, and publishing is tried again.
            Err(error) if !fs::is_full(&error) => Err(JournalError::of_write(&error)),
            outcome => {
                self.report(outcome);
                Ok(())
            }
        }
    }

    pub(super) fn run(mut self) {
        loop {
            let is_last = self.shared.publish.wait(self.interval);
            let shared = Arc::clone(&self.shared);
            let still = shared.publish.hold_still();
            let outcome = self.publish();
            drop(still);
            self.report(outcome);
            if is_last {
                return;
            }
        }
    }

    fn report(&self, outcome: std::io::Result<()>) {
        let failure = outcome.err().map(|error| Arc::<str>::from(error.to_string()));
        let published = self.growth.size();
        let mut inner = self.shared.publish.inner.lock();
        if let (Some(failure), None) = (&failure, &inner.failure) {
            tracing::warn!(error = %failure, "the record cannot be published; it is tried again");
        }
        inner.published = published;
        inner.attempts = inner.attempts.saturating_add(1);
        inner.failure = failure;
        let head_start = inner.head_start;
        drop(inner);
        self.shared.publish.changed.notify_all();
        let sealed = sealed_of(published);
        let is_over = {
            let mut tail = self.shared.tail.write();
            tail.begin_at(sealed);
            tail.is_over_its_limit()
        };
        if !is_over {
            self.shared.queue.set_unpublished(None);
        }
        if sealed > head_start {
            self.shared.queue.begin_head_at(sealed);
        }
    }

    fn publish(&mut self) -> std::io::Result<()> {
        let before = self.growth.size();
        let sealed = sealed_of(before);
        let kept = self.shared.tail.read().from(sealed);
        let size = sealed.saturating_add(kept.len() as u64);
        if size == before && self.has_checkpoint {
            return Ok(());
        }
        let needed = Tile::between(before, size);
        let mut growth = self.growth.clone();
        let mut filled: Vec<Filled> = Vec::new();
        let skip = usize::try_from(before.saturating_sub(sealed)).unwrap_or(usize::MAX);
        for kept in kept.iter().skip(skip) {
            filled.extend(growth.append(Hash::of_leaf(&kept.entry)));
        }
        filled.extend(growth.partial().into_iter().filter(|(tile, _)| needed.contains(tile)));
        self.write_bundles(&needed, sealed, &kept)?;
        for (tile, hashes) in filled {
            let bytes: Vec<u8> = hashes.iter().flat_map(|hash| *hash.as_bytes()).collect();
            self.write(&tile.path(), &bytes)?;
        }
        let note = Checkpoint::new(&self.shared.origin, size, growth.root())
            .and_then(|checkpoint| checkpoint.sign(&[&self.key]))
            .map_err(std::io::Error::other)?;
        self.write(CHECKPOINT_FILE, note.as_bytes())?;
        // INVARIANT: from here on the files say `size`, whatever else fails.
        self.growth = growth;
        self.has_checkpoint = true;
        self.witnesses.offer(&note, size);
        let partial = Tile::partial_of(size);
        for tile in Tile::partial_of(before).iter().filter(|tile| !partial.contains(tile)) {
            self.shared.fs.remove(&tile.path())?;
        }
        Ok(())
    }

    fn write_bundles(&self, needed: &[Tile], sealed: u64, kept: &[Kept]) -> std::io::Result<()> {
        let bundles = needed.iter().filter(|tile| tile.content() == Content::Entries);
        for tile in bundles {
            let first = tile.index().saturating_mul(TILE_WIDTH);
            let skip = usize::try_from(first.saturating_sub(sealed)).unwrap_or(usize::MAX);
            let width = usize::try_from(tile.width()).unwrap_or(usize::MAX);
            let some = || kept.iter().skip(skip).take(width);
            let mut bytes = Vec::new();
            for kept in some() {
                bundle::push(&mut bytes, &kept.entry).map_err(std::io::Error::other)?;
            }
            self.write(&tile.path(), &bytes)?;
            if tile.is_full() && some().any(|kept| !kept.sealed.is_empty()) {
                let bytes = details_bundle(some().map(|kept| kept.sealed.as_ref()));
                self.write(&details_path(tile.index()), &bytes)?;
            }
        }
        Ok(())
    }

    fn write(&self, path: &str, bytes: &[u8]) -> std::io::Result<()> {
        fs::write_whole(self.shared.fs.as_ref(), SCRATCH, path, bytes)
    }
}

/// Returns how many of the first `size` entries are in full bundles.
pub(super) const fn sealed_of(size: u64) -> u64 {
    size.saturating_sub(size % TILE_WIDTH)
}

/// Returns the path of the details of one full bundle.
pub(super) fn details_path(bundle: u64) -> String {
    format!("{DETAILS_FOLDER}/{}", index_path(bundle))
}

/// Writes the encrypted details of one full bundle, each behind its length.
fn details_bundle<'a>(all: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for sealed in all {
        // Its length was checked where it came in, and fits.
        bytes.extend_from_slice(&u32::try_from(sealed.len()).unwrap_or(u32::MAX).to_be_bytes());
        bytes.extend_from_slice(sealed);
    }
    frame::with_check(&bytes)
}

/// Splits the encrypted details of one full bundle; `None` when they are damaged.
pub(super) fn details_of(bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut rest = frame::without_check(bytes)?;
    let mut all = Vec::new();
    while !rest.is_empty() {
        let (len, behind) = rest.split_first_chunk()?;
        let (sealed, behind) =
            behind.split_at_checked(usize::try_from(u32::from_be_bytes(*len)).ok()?)?;
        all.push(sealed);
        rest = behind;
    }
    (all.len() as u64 == TILE_WIDTH).then_some(all)
}

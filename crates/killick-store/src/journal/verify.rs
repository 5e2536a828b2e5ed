//! Verification of a whole journal: the log, the head behind its checkpoint, and the details beside it.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;

use killick_tlog::checkpoint::CHECKPOINT_FILE;
use killick_tlog::tile::{Content, TILE_WIDTH, Tile};
use killick_tlog::verify::{Against, Findings, Report};
use killick_tlog::{Entry, LogFiles, bundle};

use super::Journal;
use super::details::KEYS_FOLDER;
use super::frame::{self, Head};
use super::fs::{JournalFs, OsFs};
use super::head::HEAD_FILE;
use super::publish::{DETAILS_FOLDER, details_of, details_path};

/// How often a journal that changes under its reader is read.
const CHANGED_READS_MAX: u32 = 4;

/// A journal's directory, read only.
#[derive(Clone, Debug)]
pub struct DirectoryFiles(OsFs);

impl DirectoryFiles {
    /// Reads the journal in a directory, which may be a copy.
    #[must_use]
    pub fn new(directory: &Path) -> Self {
        Self(OsFs::new(directory))
    }
}

impl LogFiles for DirectoryFiles {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        self.0.read(path)
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        self.0.list(folder)
    }
}

/// Any file system of a journal, read only.
pub(super) struct FilesOf<'a>(pub(super) &'a dyn JournalFs);

impl LogFiles for FilesOf<'_> {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        self.0.read(path)
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        self.0.list(folder)
    }
}

/// What verification of a journal found.
#[derive(Clone, Debug)]
pub struct JournalReport {
    /// What was found in the log itself.
    pub log: Report,
    /// Entries in the head that no checkpoint covers yet.
    pub unsigned_entries: u64,
    /// Bytes of an unfinished write at the end of the head; a crash leaves them, and they were never acknowledged.
    pub torn_bytes: u64,
    /// What must not be, in the head, the details and the keys.
    pub problems: Findings<String>,
}

impl JournalReport {
    /// Says whether nothing was found that must not be.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        self.log.is_sound() && self.problems.total() == 0
    }
}

impl fmt::Display for JournalReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.is_sound() { "sound" } else { "NOT sound" };
        let signed = self.log.signed_size();
        writeln!(
            f,
            "{verdict}: {signed} entries signed, {} not signed yet",
            self.unsigned_entries
        )?;
        for problem in self.log.problems.listed() {
            writeln!(f, "problem: {problem}")?;
        }
        for problem in self.problems.listed() {
            writeln!(f, "problem: {problem}")?;
        }
        for warning in self.log.warnings.listed() {
            writeln!(f, "warning: {warning}")?;
        }
        if self.torn_bytes > 0 {
            writeln!(f, "warning: {} bytes of an unfinished write end the head", self.torn_bytes)?;
        }
        Ok(())
    }
}

impl Journal {
    /// Verifies the journal while it is open; bundles and tiles are held still meanwhile, appends go on.
    ///
    /// It reads every file: async callers go through a blocking thread.
    #[must_use]
    pub fn verify(&self, against: Against<'_>) -> JournalReport {
        let shared = &self.inner.shared;
        let _still = shared.publish.hold_still();
        once(&FilesOf(shared.fs.as_ref()), against)
    }
}

/// Verifies the journal in a directory, which may be a copy, with nothing but public keys.
///
/// One that another process writes to may change under the reader: it is then read again, a few times.
#[must_use]
pub fn verify<F: LogFiles>(files: &F, against: Against<'_>) -> JournalReport {
    for _ in 1..CHANGED_READS_MAX {
        let before = files.read(CHECKPOINT_FILE).ok();
        let report = once(files, against);
        let is_unchanged = files.read(CHECKPOINT_FILE).ok() == before;
        if report.is_sound() || is_unchanged {
            return report;
        }
    }
    once(files, against)
}

fn once<F: LogFiles>(files: &F, against: Against<'_>) -> JournalReport {
    let log = killick_tlog::verify::verify(files, against);
    let mut report =
        JournalReport { log, unsigned_entries: 0, torn_bytes: 0, problems: Findings::default() };
    match files.read(HEAD_FILE) {
        Ok(Some(bytes)) => match frame::parse(&bytes) {
            Ok(head) => check_head(files, &head, &mut report),
            Err(error) => report.problems.push(format!("`{HEAD_FILE}`: {error}")),
        },
        Ok(None) => report.problems.push(format!("`{HEAD_FILE}` is missing")),
        Err(error) => report.problems.push(format!("`{HEAD_FILE}` cannot be read: {error}")),
    }
    check_details(files, &mut report);
    check_keys(files, &mut report);
    report
}

/// Compares the head with the bundles where both have an entry, and reads what only the head has.
fn check_head<F: LogFiles>(files: &F, head: &Head<'_>, report: &mut JournalReport) {
    let signed = report.log.signed_size();
    let end = head.start.saturating_add(head.frames.len() as u64);
    report.torn_bytes = head.torn_bytes as u64;
    report.unsigned_entries = end.saturating_sub(signed);
    if !head.start.is_multiple_of(TILE_WIDTH) || head.start > signed {
        report
            .problems
            .push(format!("`{HEAD_FILE}` begins at entry {}, where none does", head.start));
    }
    if end < report.log.entries {
        let entries = report.log.entries;
        report.problems.push(format!("`{HEAD_FILE}` ends at entry {end}, bundles at {entries}"));
    }
    let mut bundles = Bundles { files, read: None };
    for (index, frame) in (head.start..).zip(&head.frames) {
        if index < report.log.entries {
            if bundles.entry(index, report.log.entries).as_deref() != Some(frame.entry) {
                report
                    .problems
                    .push(format!("`{HEAD_FILE}` has another entry {index} than its bundle"));
            }
        } else if let Err(error) = Entry::decode(frame.entry) {
            report
                .problems
                .push(format!("entry {index} in `{HEAD_FILE}` is not accepted: {error}"));
        }
    }
}

/// Entries of bundles, the one read last kept.
struct Bundles<'a, F> {
    files: &'a F,
    read: Option<(u64, Vec<Vec<u8>>)>,
}

impl<F: LogFiles> Bundles<'_, F> {
    fn entry(&mut self, index: u64, entries: u64) -> Option<Vec<u8>> {
        let place = index / TILE_WIDTH;
        if self.read.as_ref().is_none_or(|(read, _)| *read != place) {
            let first = place.saturating_mul(TILE_WIDTH);
            let width = entries.saturating_sub(first).min(TILE_WIDTH);
            let path = Tile::new(Content::Entries, place, width)?.path();
            let bytes = self.files.read(&path).ok()??;
            let entries = bundle::entries(&bytes).ok()?;
            self.read = Some((place, entries.into_iter().map(<[u8]>::to_vec).collect()));
        }
        let at = usize::try_from(index % TILE_WIDTH).ok()?;
        self.read.as_ref()?.1.get(at).cloned()
    }
}

/// Checks that stored details are whole, and that each belongs to an entry that has some.
fn check_details<F: LogFiles>(files: &F, report: &mut JournalReport) {
    let stored = match files.list(DETAILS_FOLDER) {
        Ok(stored) => stored,
        Err(error) => {
            report.problems.push(format!("`{DETAILS_FOLDER}` cannot be read: {error}"));
            return;
        }
    };
    let expected: BTreeMap<String, u64> =
        (0..report.log.entries / TILE_WIDTH).map(|place| (details_path(place), place)).collect();
    let mut bundles = Bundles { files, read: None };
    for path in stored {
        let Some(place) = expected.get(&path) else {
            report.problems.push(format!("`{path}` is no part of the record"));
            continue;
        };
        let bytes = files.read(&path).ok().flatten().unwrap_or_default();
        let Some(all) = details_of(&bytes) else {
            report.problems.push(format!("`{path}` is damaged"));
            continue;
        };
        for (index, sealed) in (place.saturating_mul(TILE_WIDTH)..).zip(all) {
            let entry = bundles.entry(index, report.log.entries);
            let entry = entry.and_then(|bytes| Entry::decode(&bytes).ok());
            let has_details = entry.is_some_and(|entry| entry.details_commitment.is_some());
            if has_details == sealed.is_empty() {
                report.problems.push(format!("the details of entry {index} do not fit it"));
            }
        }
    }
}

fn check_keys<F: LogFiles>(files: &F, report: &mut JournalReport) {
    match files.list(KEYS_FOLDER) {
        Ok(paths) => {
            for path in paths {
                let bytes = files.read(&path).ok().flatten().unwrap_or_default();
                if frame::without_check(&bytes).is_none() {
                    report.problems.push(format!("`{path}` is damaged"));
                }
            }
        }
        Err(error) => report.problems.push(format!("`{KEYS_FOLDER}` cannot be read: {error}")),
    }
}

//! Offline verification: the whole tree is computed again from the entries and compared with all that is stored.
//!
//! It needs the log's directory and a public key, nothing else. Every byte below `tile/` and of the checkpoint has a
//! meaning that is checked here, so that no change of any of them goes unseen.

mod walk;

use std::fmt;

use crate::checkpoint::{CHECKPOINT_FILE, Checkpoint, CheckpointError};
use crate::entry::EntryError;
use crate::files::LogFiles;
use crate::hash::Hash;
use crate::note::VerifyingKey;

/// Problems, and warnings, that a report lists; the rest is counted.
pub const FINDINGS_LISTED_MAX: usize = 1_000;

/// What a log is verified against.
#[derive(Clone, Copy, Debug)]
pub struct Against<'a> {
    /// The keys that may sign its checkpoints; after a rotation the keys before it too.
    pub keys: &'a [VerifyingKey],
    /// The name that the log must have, if it is known.
    pub origin: Option<&'a str>,
    /// Checkpoints that left the machine earlier: a log that was rolled back or rewritten does not contain them.
    pub published: &'a [Vec<u8>],
}

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// There is no checkpoint.
    #[error("there is no checkpoint: nothing says how many entries the log must have")]
    NoCheckpoint,
    /// The checkpoint is not accepted.
    #[error("the checkpoint is not accepted: {0}")]
    Checkpoint(CheckpointError),
    /// The checkpoint is of another log.
    #[error("the checkpoint is of the log `{found}`, not of `{expected}`")]
    Origin {
        /// The name it must have.
        expected: String,
        /// The name it has.
        found: String,
    },
    /// The entries do not give the signed root.
    #[error("the first {size} entries do not give the root that was signed for them")]
    Root {
        /// Entries under the root.
        size: u64,
    },
    /// Signed entries are not there.
    #[error("entries {from} to {to} were signed and are not there")]
    EntriesMissing {
        /// The first one missing.
        from: u64,
        /// The one behind the last.
        to: u64,
    },
    /// A file has other bytes than the entries give.
    #[error("`{path}` does not fit the entries, first at entry {entry}")]
    Tile {
        /// Path of the file.
        path: String,
        /// The first entry it does not fit.
        entry: u64,
    },
    /// A file that a log of this size must have is not there.
    #[error("`{path}` is missing")]
    Missing {
        /// Path of the file.
        path: String,
    },
    /// A file cannot be read as what it must be.
    #[error("`{path}` is damaged: {why}")]
    Damaged {
        /// Path of the file.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// A file that no log has.
    #[error("`{path}` is no part of the log")]
    Stray {
        /// Path of the file.
        path: String,
    },
    /// An entry is not one that this version knows, or not canonical.
    #[error("entry {index} is not accepted: {why}")]
    Entry {
        /// Place of the entry.
        index: u64,
        /// What is wrong.
        why: EntryError,
    },
    /// A published checkpoint is not accepted.
    #[error("the published checkpoint is not accepted: {0}")]
    Published(CheckpointError),
    /// The log has fewer entries than were published.
    #[error("the log was rolled back: {published} entries were published, {entries} are there")]
    RolledBack {
        /// Entries of the published checkpoint.
        published: u64,
        /// Entries of the log.
        entries: u64,
    },
    /// The log has other entries than were published.
    #[error("the log was rewritten: its first {size} entries are not those that were published")]
    Forked {
        /// Entries of the published checkpoint.
        size: u64,
    },
}

/// Something that may be, and that a human should know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// The clock went back between two entries.
    #[error("entry {index} is {by_ms} ms older than the one before it")]
    TimeWentBack {
        /// Place of the later entry.
        index: u64,
        /// By how much.
        by_ms: u64,
    },
}

/// Findings, listed up to a limit and counted past it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Findings<T> {
    listed: Vec<T>,
    total: u64,
}

impl<T> Default for Findings<T> {
    fn default() -> Self {
        Self { listed: Vec::new(), total: 0 }
    }
}

impl<T> Findings<T> {
    /// Adds a finding.
    pub fn push(&mut self, finding: T) {
        if self.listed.len() < FINDINGS_LISTED_MAX {
            self.listed.push(finding);
        }
        self.total = self.total.saturating_add(1);
    }

    /// Returns the findings that are listed.
    #[must_use]
    pub fn listed(&self) -> &[T] {
        &self.listed
    }

    /// Returns how many there are in all.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.total
    }
}

/// What verification found.
#[derive(Clone, Debug)]
pub struct Report {
    /// The checkpoint, if it was accepted.
    pub checkpoint: Option<Checkpoint>,
    /// The key that signed it.
    pub signer: Option<VerifyingKey>,
    /// Entries in the log's files; those past the checkpoint's size are not signed yet.
    pub entries: u64,
    /// The root over all of them.
    pub root: Hash,
    /// Time of the last of them.
    pub last_time_unix_ms: Option<u64>,
    /// What must not be.
    pub problems: Findings<Problem>,
    /// What a human should know.
    pub warnings: Findings<Warning>,
}

impl Report {
    /// Says whether nothing was found that must not be.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        self.problems.total() == 0
    }

    /// Returns how many entries the accepted checkpoint covers.
    #[must_use]
    pub fn signed_size(&self) -> u64 {
        self.checkpoint.as_ref().map_or(0, Checkpoint::size)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.is_sound() { "sound" } else { "NOT sound" };
        writeln!(f, "{verdict}: {} entries, {} signed", self.entries, self.signed_size())?;
        for problem in self.problems.listed() {
            writeln!(f, "problem: {problem}")?;
        }
        for warning in self.warnings.listed() {
            writeln!(f, "warning: {warning}")?;
        }
        Ok(())
    }
}

/// Verifies a log.
#[must_use]
pub fn verify<F: LogFiles>(files: &F, against: Against<'_>) -> Report {
    let mut problems = Findings::default();
    let (checkpoint, signer) = match read_checkpoint(files, against) {
        Ok((checkpoint, signer)) => (Some(checkpoint), Some(signer)),
        Err(problem) => {
            problems.push(problem);
            (None, None)
        }
    };
    let mut published = Vec::new();
    for note in against.published {
        match accept(note, against) {
            Ok((checkpoint, _)) => published.push(checkpoint),
            Err(Problem::Checkpoint(why)) => problems.push(Problem::Published(why)),
            Err(other) => problems.push(other),
        }
    }
    let walked = walk::walk(files, checkpoint.as_ref(), &published, problems);
    Report {
        checkpoint,
        signer,
        entries: walked.growth.size(),
        root: walked.growth.root(),
        last_time_unix_ms: walked.last_time_unix_ms,
        problems: walked.problems,
        warnings: walked.warnings,
    }
}

fn read_checkpoint<F: LogFiles>(
    files: &F,
    against: Against<'_>,
) -> Result<(Checkpoint, VerifyingKey), Problem> {
    match files.read(CHECKPOINT_FILE) {
        Ok(Some(note)) => accept(&note, against),
        Ok(None) => Err(Problem::NoCheckpoint),
        Err(error) => {
            Err(Problem::Damaged { path: CHECKPOINT_FILE.to_owned(), why: error.to_string() })
        }
    }
}

fn accept(note: &[u8], against: Against<'_>) -> Result<(Checkpoint, VerifyingKey), Problem> {
    let (checkpoint, signer) = Checkpoint::open(note, against.keys).map_err(Problem::Checkpoint)?;
    match against.origin {
        Some(expected) if expected != checkpoint.origin() => Err(Problem::Origin {
            expected: expected.to_owned(),
            found: checkpoint.origin().to_owned(),
        }),
        Some(_) | None => Ok((checkpoint, signer.clone())),
    }
}

#[cfg(test)]
#[expect(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "a test that overflows fails"
)]
mod tests;

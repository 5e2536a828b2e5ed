//! Why the journal refuses.

use std::io;
use std::sync::Arc;

use killick_tlog::EntryError;

use super::fs;

/// Why an entry was not taken, or a journal not opened. Whatever it is: what was to be recorded must not happen.
#[derive(Clone, Debug, thiserror::Error)]
pub enum JournalError {
    /// The disk is full.
    #[error(
        "the record's disk is full; nothing can be recorded, so nothing is sent. Free space on it"
    )]
    Full,
    /// The disk failed; nothing is taken until the journal is opened anew.
    #[error(
        "writing the record failed ({0}); nothing is recorded or sent until the gateway starts anew"
    )]
    Failed(Arc<str>),
    /// The disk did not answer in time; the entry may still be written.
    #[error("the record's disk did not answer within {wait_ms} ms; nothing was sent")]
    Slow {
        /// How long was waited, in milliseconds.
        wait_ms: u64,
    },
    /// Entries are not published for so long that no more can be held.
    #[error("the record cannot be published ({0}); nothing is recorded or sent until it can")]
    Unpublished(Arc<str>),
    /// One agent uses more of the record than its share.
    #[error(
        "agent `{agent}` wrote more than {per_minute_max} entries within a minute; nothing was sent"
    )]
    Quota {
        /// The agent.
        agent: String,
        /// Entries that an agent may write in a minute.
        per_minute_max: u32,
        /// Whether this is the first entry refused in this minute, and so worth an entry of its own.
        is_first: bool,
    },
    /// The entry is none that the record can hold.
    #[error("the entry cannot be recorded: {0}")]
    Entry(#[from] EntryError),
    /// The details are too long.
    #[error("the details have {len_bytes} bytes, more than the record holds for one entry")]
    DetailsTooLong {
        /// Bytes of the details.
        len_bytes: usize,
    },
    /// Details do not fit their entry: they were changed.
    #[error("the details do not fit their entry; they were changed or damaged")]
    Details,
    /// A key of details cannot be unwrapped.
    #[error(
        "a key in `keys/` cannot be unwrapped; the master key is another one, or the file is damaged"
    )]
    Key,
    /// The operating system gives no random bytes.
    #[error("the operating system gives no random bytes")]
    Random,
    /// The journal was closed.
    #[error("the record is closed; nothing was sent")]
    Closed,
    /// Another process has the directory.
    #[error("another process has this record open")]
    Locked,
    /// What is on the disk is not a journal that was merely interrupted.
    #[error(
        "the record is damaged: {0}. It is not written to; keep a copy and run `killick log verify`"
    )]
    Corrupt(Arc<str>),
    /// A file cannot be read.
    #[error("the record cannot be read ({0})")]
    Read(Arc<str>),
    /// There is no entry of that index.
    #[error("the record has no entry {index}")]
    NoSuchEntry {
        /// The index asked for.
        index: u64,
    },
}

impl JournalError {
    pub(super) fn of_write(error: &io::Error) -> Self {
        if fs::is_full(error) { Self::Full } else { Self::Failed(error.to_string().into()) }
    }

    pub(super) fn of_read(error: &io::Error) -> Self {
        Self::Read(error.to_string().into())
    }

    pub(super) fn corrupt(why: impl Into<Arc<str>>) -> Self {
        Self::Corrupt(why.into())
    }
}

//! The head: the file that entries are appended to, one write and one sync for each group.

use std::io;

use super::frame::{self, Check, Frame};
use super::fs::{self, FILE_BYTES_MAX, JournalFile, JournalFs};
use super::queue::QUEUE_BYTES_MAX;
use super::tail::TAIL_BYTES_MAX;

/// The file of the head.
pub(super) const HEAD_FILE: &str = "head";
/// Space set aside at a time beyond what is needed at once.
const ROOM_STEP_BYTES: u64 = 4 << 20;

/// Entries in full bundles that the head may still hold before it is begun anew.
const HEAD_SEALED_MAX: u64 = 1_024;
/// Bytes of a head that is begun anew as soon as it holds any entry in a full bundle.
const HEAD_SEALED_BYTES_MAX: u64 = 32 << 20;

// A head must be readable as a whole when it is opened again, whatever was in memory and in the queue.
const _: () = assert!(
    HEAD_SEALED_BYTES_MAX + TAIL_BYTES_MAX as u64 + QUEUE_BYTES_MAX < FILE_BYTES_MAX,
    "the longest head can be read"
);

const SCRATCH: &str = "tmp/head";

/// The open head.
pub(super) struct HeadFile {
    file: Box<dyn JournalFile>,
    /// The first entry in the file.
    start: u64,
    /// The entry that is written next.
    next: u64,
    link: Check,
    /// Where the next frame goes.
    position: u64,
    /// Where the space set aside ends.
    set_aside_to: u64,
}

/// What came of writing a group.
#[derive(Debug)]
pub(super) enum WriteError {
    /// Nothing was written, and the same may be tried again.
    Full,
    /// It is not known what is on the disk.
    Failed(io::Error),
}

impl HeadFile {
    /// Writes a head anew with these frames, so that what was read is known to be on the disk.
    pub(super) fn write_anew<'a>(
        fs: &dyn JournalFs,
        start: u64,
        frames: impl IntoIterator<Item = Frame<'a>>,
        room_bytes: u64,
    ) -> Result<Self, WriteError> {
        let (mut bytes, mut link) = frame::head_header(start);
        let mut next = start;
        for frame in frames {
            // Each is a group of its own by now: all of them are durable before the next is written.
            link = frame::push(&mut bytes, next, next, &link, frame);
            next = next.saturating_add(1);
        }
        let position = bytes.len() as u64;
        let set_aside_to = position.saturating_add(room_bytes);
        let file = Self::replace(fs, &bytes, set_aside_to).inspect_err(|_| {
            // A scratch file takes space that may be needed, and nothing reads it.
            let _ = fs.remove(SCRATCH);
        })?;
        Ok(Self { file, start, next, link, position, set_aside_to })
    }

    fn replace(
        fs: &dyn JournalFs,
        bytes: &[u8],
        set_aside_to: u64,
    ) -> Result<Box<dyn JournalFile>, WriteError> {
        let harmless = |error: io::Error| {
            if fs::is_full(&error) { WriteError::Full } else { WriteError::Failed(error) }
        };
        let mut file = fs.create(SCRATCH).map_err(harmless)?;
        file.set_aside(0, set_aside_to).map_err(harmless)?;
        fs::write_all_at(file.as_mut(), 0, bytes).map_err(harmless)?;
        file.sync().map_err(harmless)?;
        fs.rename(SCRATCH, HEAD_FILE).map_err(harmless)?;
        // From here on it is not known which head a crash would leave.
        fs.sync_folder("").map_err(WriteError::Failed)?;
        Ok(file)
    }

    /// Goes on with a head that was read, for a disk too full to write it anew.
    pub(super) fn go_on(
        fs: &dyn JournalFs,
        head: &frame::Head<'_>,
        room_bytes: u64,
    ) -> Result<Self, WriteError> {
        let opened = fs.open(HEAD_FILE).map_err(WriteError::Failed)?;
        let mut file = opened.ok_or_else(|| WriteError::Failed(io::ErrorKind::NotFound.into()))?;
        file.sync().map_err(WriteError::Failed)?;
        let position = head.end as u64;
        let is_set_aside = file.set_aside(position, room_bytes).is_ok();
        let room = if is_set_aside { room_bytes } else { 0 };
        Ok(Self {
            file,
            start: head.start,
            next: head.start.saturating_add(head.frames.len() as u64),
            link: head.link,
            position,
            set_aside_to: position.saturating_add(room),
        })
    }

    /// Returns the first entry in the file.
    pub(super) const fn start(&self) -> u64 {
        self.start
    }

    /// Says whether enough could be left behind to be worth beginning the file anew at an entry.
    pub(super) const fn is_worth_beginning_at(&self, start: u64) -> bool {
        start > self.start
            && (start.saturating_sub(self.start) >= HEAD_SEALED_MAX
                || self.position >= HEAD_SEALED_BYTES_MAX)
    }

    /// Returns the entry that is written next.
    pub(super) const fn next(&self) -> u64 {
        self.next
    }

    /// Returns how many bytes can be written in space that is set aside.
    pub(super) const fn room_bytes(&self) -> u64 {
        self.set_aside_to.saturating_sub(self.position)
    }

    /// Sets more space aside, if `needed_bytes` and a step more are not there; says whether what is needed is.
    pub(super) fn make_room(&mut self, needed_bytes: u64) -> Result<bool, io::Error> {
        let comfortable = needed_bytes.saturating_add(ROOM_STEP_BYTES / 2);
        if self.room_bytes() >= comfortable {
            return Ok(true);
        }
        for wanted in [needed_bytes.saturating_add(ROOM_STEP_BYTES), needed_bytes] {
            let Some(more) = wanted.checked_sub(self.room_bytes()).filter(|more| *more > 0) else {
                return Ok(true);
            };
            match self.file.set_aside(self.set_aside_to, more) {
                Ok(()) => {
                    self.set_aside_to = self.set_aside_to.saturating_add(more);
                    return Ok(true);
                }
                Err(error) if fs::is_full(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.room_bytes() >= needed_bytes)
    }

    /// Writes a group of frames and makes it durable.
    pub(super) fn write(&mut self, group: &[Frame<'_>]) -> Result<(), WriteError> {
        let mut bytes = Vec::new();
        let mut link = self.link;
        let mut index = self.next;
        for frame in group {
            link = frame::push(&mut bytes, index, self.next, &link, *frame);
            index = index.saturating_add(1);
        }
        if let Err(error) = fs::write_all_at(self.file.as_mut(), self.position, &bytes) {
            return Err(if fs::is_full(&error) {
                // What was set aside turned out not to be there.
                self.set_aside_to = self.position;
                WriteError::Full
            } else {
                WriteError::Failed(error)
            });
        }
        self.file.sync().map_err(WriteError::Failed)?;
        self.link = link;
        self.next = index;
        self.position = self.position.saturating_add(bytes.len() as u64);
        self.set_aside_to = self.set_aside_to.max(self.position);
        Ok(())
    }
}

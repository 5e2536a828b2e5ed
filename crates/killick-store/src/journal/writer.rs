//! The writer: one thread that takes groups from the queue and makes them durable.

use std::sync::Arc;
use std::time::Duration;

use super::error::JournalError;
use super::frame::Frame;
use super::head::{HeadFile, WriteError};
use super::queue::{Done, Item, State, Waiter, Work};
use super::tail::Kept;
use super::{Appended, Logged, Shared};

/// How long a full disk is left alone before promised entries are tried again.
const FULL_PAUSE: Duration = Duration::from_millis(100);
/// How often promised entries are tried again on a full disk while the journal closes.
const CLOSING_TRIES_MAX: u32 = 3;

pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) head: HeadFile,
    pub(super) closing_tries: u32,
}

/// A group, divided.
struct Chosen {
    written: Vec<Item>,
    /// Those that the disk has no space for.
    refused: Vec<Item>,
}

impl Writer {
    pub(super) fn run(mut self) {
        loop {
            match self.shared.queue.work() {
                Work::Group(items) => self.group(items),
                Work::BeginHead(start) => self.begin_head(start),
                Work::End => return,
            }
            self.shared.place.notify_waiters();
        }
    }

    fn group(&mut self, items: Vec<Item>) {
        let bytes = sum(&items);
        let entries = items.len();
        let Chosen { written: chosen, refused } = match self.choose(items, bytes) {
            Ok(chosen) => chosen,
            Err((items, why)) => return self.fail(items, &why),
        };
        let mut done = Done { bytes, entries, refused: refused.len() as u64, room_bytes: 0 };
        for item in refused {
            item.refuse(JournalError::Full);
        }
        let frames: Vec<_> =
            chosen.iter().map(|item| Frame { entry: &item.entry, sealed: &item.sealed }).collect();
        let first = self.head.next();
        let written = if frames.is_empty() { Ok(()) } else { self.head.write(&frames) };
        match written {
            Ok(()) => {
                done.room_bytes = self.head.room_bytes();
                self.settle(chosen, first, &done);
            }
            Err(WriteError::Full) => self.put_back(chosen, done),
            Err(WriteError::Failed(error)) => self.fail(chosen, &error),
        }
    }

    /// Divides a group into what is written and what the disk has no space for.
    fn choose(
        &mut self,
        items: Vec<Item>,
        bytes: u64,
    ) -> Result<Chosen, (Vec<Item>, std::io::Error)> {
        let reserve_bytes = self.shared.reserve_bytes;
        match self.head.make_room(bytes.saturating_add(reserve_bytes)) {
            Ok(true) => return Ok(Chosen { written: items, refused: Vec::new() }),
            Ok(false) => {}
            Err(error) => return Err((items, error)),
        }
        let free = self.head.room_bytes().saturating_sub(reserve_bytes);
        let mut used = 0_u64;
        let mut refused = Vec::new();
        let mut written = Vec::new();
        for item in items {
            let with_it = used.saturating_add(item.len_bytes());
            let is_chosen = match item.waiter {
                Waiter::Caller(_) => with_it <= free,
                // Their space was promised when they were taken.
                Waiter::Nobody | Waiter::NobodyReserved => true,
            };
            if is_chosen {
                used = with_it;
                written.push(item);
            } else {
                refused.push(item);
            }
        }
        Ok(Chosen { written, refused })
    }

    /// Publishes a written group to readers, then to those who wait.
    fn settle(&mut self, items: Vec<Item>, first: u64, done: &Done) {
        self.closing_tries = 0;
        let mut tail = self.shared.tail.write();
        for item in &items {
            tail.push(Kept::new(&item.entry, &item.sealed));
        }
        let is_over = tail.is_over_its_limit();
        drop(tail);
        if is_over {
            self.shared.queue.set_unpublished(Some(self.shared.publish.why()));
        }
        self.shared.queue.done(done, Vec::new());
        for (index, item) in (first..).zip(items) {
            if self.shared.live.receiver_count() > 0 {
                let logged = Logged { index, entry: item.entry.as_slice().into() };
                // Nobody may be listening any more by now.
                let _ = self.shared.live.send(logged);
            }
            match item.waiter {
                // A caller that no longer waits has given up, and sent nothing.
                Waiter::Caller(sender) => {
                    let appended = Appended { index, time_unix_ms: item.time_unix_ms };
                    drop(sender.send(Ok(appended)));
                }
                Waiter::Nobody | Waiter::NobodyReserved => {}
            }
        }
    }

    /// Refuses those who wait, and keeps what was promised for another try.
    fn put_back(&mut self, items: Vec<Item>, mut done: Done) {
        let gives_up = matches!(self.shared.queue.state(), State::Closing)
            && self.closing_tries >= CLOSING_TRIES_MAX;
        self.closing_tries = self.closing_tries.saturating_add(1);
        let mut again = Vec::new();
        for item in items {
            match item.waiter {
                Waiter::Nobody | Waiter::NobodyReserved if !gives_up => again.push(item),
                Waiter::Caller(_) | Waiter::Nobody | Waiter::NobodyReserved => {
                    done.refused = done.refused.saturating_add(1);
                    item.refuse(JournalError::Full);
                }
            }
        }
        done.bytes = done.bytes.saturating_sub(sum(&again));
        done.entries = done.entries.saturating_sub(again.len());
        done.room_bytes = self.head.room_bytes();
        let is_stuck = !again.is_empty();
        self.shared.queue.done(&done, again);
        if is_stuck {
            self.shared.queue.pause(FULL_PAUSE);
        }
    }

    fn fail(&self, items: Vec<Item>, error: &std::io::Error) {
        tracing::error!(%error, "the record's disk failed; nothing is recorded until it is opened anew");
        let why: Arc<str> = error.to_string().into();
        self.shared.queue.fail(&why);
        for item in items {
            item.refuse(JournalError::Failed(Arc::clone(&why)));
        }
    }

    /// Begins the head at an entry: all before it is in full bundles.
    fn begin_head(&mut self, start: u64) {
        if !self.head.is_worth_beginning_at(start) {
            return;
        }
        let tail = self.shared.tail.read();
        if start < tail.start() || start > self.head.next() {
            return;
        }
        let kept = tail.from(start);
        drop(tail);
        let frames = kept.iter().map(|kept| Frame { entry: &kept.entry, sealed: &kept.sealed });
        // What was promised meanwhile must fit the next file as it fits this one.
        let room_bytes = self.head.room_bytes().max(self.shared.reserve_bytes);
        match HeadFile::write_anew(self.shared.fs.as_ref(), start, frames, room_bytes) {
            Ok(head) => {
                self.head = head;
                self.shared.queue.set_room(self.head.room_bytes());
                self.shared.publish.set_head_start(self.head.start());
            }
            Err(WriteError::Full) => {
                tracing::warn!("the disk is too full to shorten the record's head");
            }
            Err(WriteError::Failed(error)) => self.fail(Vec::new(), &error),
        }
    }
}

fn sum(items: &[Item]) -> u64 {
    items.iter().fold(0, |sum, item| sum.saturating_add(item.len_bytes()))
}

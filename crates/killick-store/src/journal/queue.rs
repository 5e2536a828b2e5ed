//! The queue in front of the writer: order, limits, space promised, and the state that decides whether to accept.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use killick_tlog::entry::Timeless;
use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::error::JournalError;
use super::frame;
use super::{Appended, Clock};

/// Entries that may wait to be written.
pub const QUEUE_ENTRIES_MAX: usize = 4_096;
/// Bytes that may wait to be written.
pub const QUEUE_BYTES_MAX: u64 = 64 << 20;
/// Bytes set aside for each outcome.
pub const RESERVED_OUTCOME_BYTES: u64 = 8 * 1024;
/// How long an entry that nobody waits for may be held back, for others to share its sync.
pub(super) const GATHER: Duration = Duration::from_millis(10);
/// Bytes that are written in one group.
const GROUP_BYTES_MAX: u64 = 8 << 20;

/// An entry with its details, encoded but for its time.
pub(super) struct Encoded {
    pub(super) entry: Timeless,
    pub(super) sealed: Vec<u8>,
}

impl Encoded {
    pub(super) fn len_bytes_max(&self) -> u64 {
        frame::len_bytes(self.entry.len_bytes_max(), self.sealed.len()) as u64
    }
}

/// Who waits for an entry.
pub(super) enum Waiter {
    /// A caller, until it is durable.
    Caller(oneshot::Sender<Result<Appended, JournalError>>),
    /// Nobody: its space was promised, so it must be written.
    Nobody,
    /// Nobody, and it may use what is set aside for outcomes.
    NobodyReserved,
}

/// An entry in the queue.
pub(super) struct Item {
    pub(super) entry: Vec<u8>,
    pub(super) sealed: Vec<u8>,
    pub(super) time_unix_ms: u64,
    pub(super) waiter: Waiter,
}

impl Item {
    pub(super) fn len_bytes(&self) -> u64 {
        frame::len_bytes(self.entry.len(), self.sealed.len()) as u64
    }
}

/// Whether entries are taken.
#[derive(Clone, Debug)]
pub(super) enum State {
    Open,
    /// Entries are not published; none is taken until they are.
    Unpublished(Arc<str>),
    /// The disk failed: none is taken any more.
    Failed(Arc<str>),
    /// None is taken, those that wait are written.
    Closing,
    Closed,
}

struct Inner {
    items: VecDeque<Item>,
    state: State,
    /// The index that the next entry gets if all before it are written.
    next: u64,
    /// Bytes that wait, those being written included.
    queued_bytes: u64,
    queued_entries: usize,
    /// Bytes that can be written in space that is set aside.
    room_bytes: u64,
    /// Bytes promised to outcomes that are not settled yet.
    reserved_bytes: u64,
    /// The head may begin here: all before it is in full bundles.
    begin_head_at: Option<u64>,
    /// Entries before this one are waited for by somebody who was promised their space.
    wanted: u64,
}

/// What the writer does next.
pub(super) enum Work {
    /// Writes these.
    Group(Vec<Item>),
    /// Begins the head at this entry.
    BeginHead(u64),
    /// Ends.
    End,
}

/// What became of a group.
pub(super) struct Done {
    pub(super) bytes: u64,
    pub(super) entries: usize,
    /// Entries of it that were refused.
    pub(super) refused: u64,
    pub(super) room_bytes: u64,
}

/// What a caller asks for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ask {
    /// Wait until the entry is durable.
    Wait,
    /// Be promised its space, or wait where there is none to promise.
    PromiseOrWait,
    /// Be promised its space, or have it back.
    Promise,
}

/// What became of an entry at the queue.
pub(super) enum Pushed {
    /// Its space is promised: it will be durable within a bounded time.
    Promised(Appended),
    /// It is in order and must be waited for.
    Wait(oneshot::Receiver<Result<Appended, JournalError>>),
    /// There is no place for it.
    Back(Encoded),
}

pub(super) struct Queue {
    inner: Mutex<Inner>,
    changed: Condvar,
    reserve_bytes: u64,
    clock: Clock,
}

impl Queue {
    pub(super) fn new(next: u64, room_bytes: u64, reserve_bytes: u64, clock: Clock) -> Self {
        let inner = Inner {
            items: VecDeque::new(),
            state: State::Open,
            next,
            queued_bytes: 0,
            queued_entries: 0,
            room_bytes,
            reserved_bytes: 0,
            begin_head_at: None,
            wanted: 0,
        };
        Self { inner: Mutex::new(inner), changed: Condvar::new(), reserve_bytes, clock }
    }

    /// Says why no entry is taken, if none is.
    pub(super) fn refusal(&self) -> Option<JournalError> {
        refusal(&self.inner.lock().state)
    }

    pub(super) fn state(&self) -> State {
        self.inner.lock().state.clone()
    }

    /// Puts an entry in order; gives it back when there is no place for it.
    pub(super) fn push(&self, encoded: Encoded, ask: Ask) -> Result<Pushed, JournalError> {
        let mut inner = self.inner.lock();
        if let Some(refusal) = refusal(&inner.state) {
            return Err(refusal);
        }
        let len_bytes = encoded.len_bytes_max();
        let queued_bytes = inner.queued_bytes.saturating_add(len_bytes);
        if inner.queued_entries >= QUEUE_ENTRIES_MAX || queued_bytes > QUEUE_BYTES_MAX {
            return Ok(Pushed::Back(encoded));
        }
        let fits = queued_bytes.saturating_add(self.reserve_bytes) <= inner.room_bytes;
        let time_unix_ms = (self.clock)();
        match ask {
            Ask::Promise | Ask::PromiseOrWait if fits => {
                let promised = Appended { index: inner.next, time_unix_ms };
                // The first one wakes the writer, the others find it awake.
                if inner.items.is_empty() {
                    self.changed.notify_all();
                }
                inner.enqueue(encoded, time_unix_ms, Waiter::Nobody);
                Ok(Pushed::Promised(promised))
            }
            Ask::Promise => Ok(Pushed::Back(encoded)),
            Ask::PromiseOrWait | Ask::Wait => {
                let (sender, receiver) = oneshot::channel();
                inner.enqueue(encoded, time_unix_ms, Waiter::Caller(sender));
                self.changed.notify_all();
                Ok(Pushed::Wait(receiver))
            }
        }
    }

    /// Promises space for an outcome.
    pub(super) fn reserve(&self) -> Result<(), JournalError> {
        let mut inner = self.inner.lock();
        if let Some(refusal) = refusal(&inner.state) {
            return Err(refusal);
        }
        let wanted = inner.reserved_bytes.saturating_add(RESERVED_OUTCOME_BYTES);
        let there = inner.room_bytes.saturating_sub(inner.queued_bytes).min(self.reserve_bytes);
        if wanted > there {
            return Err(JournalError::Full);
        }
        inner.reserved_bytes = wanted;
        Ok(())
    }

    /// Takes a promise of space back.
    pub(super) fn release(&self) {
        let mut inner = self.inner.lock();
        inner.reserved_bytes = inner.reserved_bytes.saturating_sub(RESERVED_OUTCOME_BYTES);
    }

    /// Puts an outcome in order, in the space promised to it.
    pub(super) fn push_reserved(&self, encoded: Encoded) -> Result<(), JournalError> {
        let mut inner = self.inner.lock();
        inner.reserved_bytes = inner.reserved_bytes.saturating_sub(RESERVED_OUTCOME_BYTES);
        match &inner.state {
            State::Open | State::Unpublished(_) | State::Closing => {}
            State::Failed(why) => return Err(JournalError::Failed(Arc::clone(why))),
            State::Closed => return Err(JournalError::Closed),
        }
        let time_unix_ms = (self.clock)();
        if inner.items.is_empty() {
            self.changed.notify_all();
        }
        inner.enqueue(encoded, time_unix_ms, Waiter::NobodyReserved);
        Ok(())
    }

    /// Has the entries before an index written without holding them back.
    pub(super) fn hurry(&self, before: u64) {
        let mut inner = self.inner.lock();
        if before > inner.wanted {
            inner.wanted = before;
            self.changed.notify_all();
        }
    }

    /// Waits for work.
    pub(super) fn work(&self) -> Work {
        let mut inner = self.inner.lock();
        loop {
            if matches!(inner.state, State::Failed(_)) {
                return Work::End;
            }
            if let Some(start) = inner.begin_head_at.take() {
                return Work::BeginHead(start);
            }
            if !inner.items.is_empty() {
                break;
            }
            match inner.state {
                State::Open | State::Unpublished(_) => self.changed.wait(&mut inner),
                State::Failed(_) | State::Closing | State::Closed => return Work::End,
            }
        }
        // Nobody waits: hold it back a little, until somebody does or the time is over. Once, not in a loop, so that
        // no stream of such entries can put the write off.
        if matches!(inner.state, State::Open) && !inner.is_waited_for() {
            self.changed.wait_for(&mut inner, GATHER);
        }
        let mut group = Vec::new();
        let mut bytes = 0_u64;
        while let Some(item) = inner.items.pop_front() {
            bytes = bytes.saturating_add(item.len_bytes());
            group.push(item);
            if bytes >= GROUP_BYTES_MAX {
                break;
            }
        }
        Work::Group(group)
    }

    /// Settles the books after a group; entries that must still be written go back to the front.
    pub(super) fn done(&self, done: &Done, again: Vec<Item>) {
        let mut inner = self.inner.lock();
        inner.queued_bytes = inner.queued_bytes.saturating_sub(done.bytes);
        inner.queued_entries = inner.queued_entries.saturating_sub(done.entries);
        inner.next = inner.next.saturating_sub(done.refused);
        inner.room_bytes = done.room_bytes;
        for item in again.into_iter().rev() {
            inner.items.push_front(item);
        }
    }

    /// Waits a little, for a disk that is full: it is tried again, or the journal closes.
    pub(super) fn pause(&self, pause: Duration) {
        let mut inner = self.inner.lock();
        match inner.state {
            State::Open | State::Unpublished(_) => {
                self.changed.wait_for(&mut inner, pause);
            }
            State::Failed(_) | State::Closing | State::Closed => {}
        }
    }

    #[cfg(test)]
    pub(super) fn queued_entries(&self) -> usize {
        self.inner.lock().queued_entries
    }

    pub(super) fn set_room(&self, room_bytes: u64) {
        self.inner.lock().room_bytes = room_bytes;
    }

    pub(super) fn begin_head_at(&self, start: u64) {
        self.inner.lock().begin_head_at = Some(start);
        self.changed.notify_all();
    }

    /// Stops taking entries for good, and refuses all that wait.
    pub(super) fn fail(&self, why: &Arc<str>) {
        let mut inner = self.inner.lock();
        inner.state = State::Failed(Arc::clone(why));
        inner.queued_bytes = 0;
        inner.queued_entries = 0;
        for item in inner.items.drain(..) {
            item.refuse(JournalError::Failed(Arc::clone(why)));
        }
        self.changed.notify_all();
    }

    /// Stops taking entries while they are not published, or takes them again.
    pub(super) fn set_unpublished(&self, why: Option<Arc<str>>) {
        let mut inner = self.inner.lock();
        match (&inner.state, why) {
            (State::Open, Some(why)) => inner.state = State::Unpublished(why),
            (State::Unpublished(_), None) => inner.state = State::Open,
            (State::Open, None)
            | (State::Unpublished(_), Some(_))
            | (State::Failed(_) | State::Closing | State::Closed, _) => {}
        }
    }

    pub(super) fn close(&self) {
        let mut inner = self.inner.lock();
        match inner.state {
            State::Open | State::Unpublished(_) => inner.state = State::Closing,
            State::Failed(_) | State::Closing | State::Closed => {}
        }
        self.changed.notify_all();
    }

    pub(super) fn closed(&self) {
        let mut inner = self.inner.lock();
        match inner.state {
            State::Open | State::Unpublished(_) | State::Closing => inner.state = State::Closed,
            State::Failed(_) | State::Closed => {}
        }
        for item in inner.items.drain(..) {
            item.refuse(JournalError::Closed);
        }
    }
}

impl Inner {
    fn enqueue(&mut self, encoded: Encoded, time_unix_ms: u64, waiter: Waiter) {
        let entry = encoded.entry.at(time_unix_ms);
        let item = Item { entry, sealed: encoded.sealed, time_unix_ms, waiter };
        self.queued_bytes = self.queued_bytes.saturating_add(item.len_bytes());
        self.queued_entries = self.queued_entries.saturating_add(1);
        self.next = self.next.saturating_add(1);
        self.items.push_back(item);
    }

    fn is_waited_for(&self) -> bool {
        let first = self.next.saturating_sub(self.items.len() as u64);
        self.wanted > first
            || self.items.iter().any(|item| match item.waiter {
                Waiter::Caller(_) => true,
                Waiter::Nobody | Waiter::NobodyReserved => false,
            })
    }
}

impl Item {
    /// Tells who waits, if anybody does, that the entry is not on the record.
    pub(super) fn refuse(self, error: JournalError) {
        match self.waiter {
            // A caller that no longer waits has given up, and sent nothing.
            Waiter::Caller(sender) => drop(sender.send(Err(error))),
            Waiter::Nobody | Waiter::NobodyReserved => {
                tracing::error!(%error, "an entry that was promised could not be recorded");
            }
        }
    }
}

fn refusal(state: &State) -> Option<JournalError> {
    match state {
        State::Open => None,
        State::Unpublished(why) => Some(JournalError::Unpublished(Arc::clone(why))),
        State::Failed(why) => Some(JournalError::Failed(Arc::clone(why))),
        State::Closing | State::Closed => Some(JournalError::Closed),
    }
}

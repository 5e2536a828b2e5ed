//! Whether definitions changed while somebody relied on them.
//!
//! A command tag tells what a statement did only as long as its table is what the catalogue said: a trigger that another
//! session commits between a judgement and its statement would do more, and no tag would tell. Every change of definitions
//! that goes through the gateway is seen here, before its COMMIT is sent and after the server answered.

use std::sync::Arc;

use killick_model::UnixMillis;
use killick_sql::judged::{Group, Judged};
use parking_lot::Mutex;

use super::engine::Session;

/// What stands for no epoch at all.
pub(crate) const UNSURE: u64 = u64::MAX;

/// How often definitions of one database were changed through the gateway.
#[derive(Debug, Default)]
pub(crate) struct Epochs(Mutex<Epoch>);

#[derive(Clone, Copy, Debug, Default)]
struct Epoch {
    /// Changes whose end is known.
    ended: u64,
    /// Changes that may come true at any time.
    under_way: u64,
}

/// What was seen when a catalogue was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// When, in milliseconds since 1970.
    pub(crate) at: UnixMillis,
    /// The changes that had ended before.
    pub(crate) ended: u64,
    /// The same, or [`UNSURE`] when one was under way.
    pub(crate) sure: u64,
}

impl Epochs {
    /// Returns what holds for a look at the catalogue that begins now.
    pub(crate) fn look(&self, at: UnixMillis) -> Seen {
        let now = *self.0.lock();
        let sure = if now.under_way == 0 { now.ended } else { UNSURE };
        Seen { at, ended: now.ended, sure }
    }

    /// Returns how many changes have ended.
    pub(crate) fn ended(&self) -> u64 {
        self.0.lock().ended
    }

    /// Returns whether nothing has changed since a look, nor can have.
    pub(crate) fn holds(&self, sure: u64) -> bool {
        let now = *self.0.lock();
        now.under_way == 0 && now.ended == sure
    }

    fn begin(&self) {
        let mut now = self.0.lock();
        now.under_way = now.under_way.saturating_add(1);
    }

    fn end(&self, known: bool) {
        let mut now = self.0.lock();
        now.ended = now.ended.saturating_add(1);
        if known {
            now.under_way = now.under_way.saturating_sub(1);
        }
    }
}

/// A change of definitions on its way. Dropped without an answer of the server it stays under way: from then on command
/// tags are not relied on in this database, and rows are counted by the server.
pub(crate) struct Change {
    epochs: Arc<Epochs>,
    known: bool,
}

impl Change {
    /// Takes in that the server has answered, whatever it said.
    pub(crate) fn answered(mut self) {
        self.known = true;
    }
}

impl Drop for Change {
    fn drop(&mut self) {
        self.epochs.end(self.known);
    }
}

/// Returns whether a statement may change what others rely on: all but rows and reads.
pub(crate) fn defines(judged: &Judged) -> bool {
    let besides = [Group::CopyIn, Group::CopyOut, Group::Lock, Group::Notify, Group::Transaction];
    judged.touches.iter().any(|it| !it.group.is_of_rows() && !besides.contains(&it.group))
}

impl Session {
    /// Says that a change of definitions is about to come true, if the open transaction made one.
    pub(crate) fn change_of_work(&self) -> Option<Change> {
        self.work.judged.iter().any(|judged| defines(judged)).then(|| self.change_under_way())
    }

    /// Says that definitions may change from now on.
    pub(crate) fn change_under_way(&self) -> Change {
        let epochs = self.adapter.catalogues.epochs(&self.database.name);
        epochs.begin();
        Change { epochs, known: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_holds_until_a_change_is_under_way_and_never_after_one_without_an_answer() {
        let epochs = Arc::new(Epochs::default());
        let before = epochs.look(UnixMillis(1));
        assert!(epochs.holds(before.sure));
        epochs.begin();
        assert!(!epochs.holds(before.sure));
        // A look while it is under way proves nothing, whatever it finds.
        let during = epochs.look(UnixMillis(2));
        Change { epochs: Arc::clone(&epochs), known: false }.answered();
        assert!(!epochs.holds(before.sure) && !epochs.holds(during.sure));
        assert_ne!(before.ended, epochs.ended());
        let after = epochs.look(UnixMillis(3));
        assert!(epochs.holds(after.sure));
        epochs.begin();
        drop(Change { epochs: Arc::clone(&epochs), known: false });
        assert!(!epochs.holds(epochs.look(UnixMillis(4)).sure));
    }
}

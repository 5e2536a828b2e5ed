//! Reads inside of a transaction that may write: the server itself is told to refuse their writes.

use std::sync::Arc;

use killick_gate::Departure;

use super::engine::{End, Session};
use super::transaction::Place;
use super::unit::Unit;
use crate::wire::frontend;

impl Session {
    /// Returns whether the server is told to refuse writes for a statement: a read that calls anything but built-in
    /// functions, inside of a transaction that may write.
    pub(crate) fn is_guarded(&self, unit: &Unit) -> bool {
        let judged = &unit.judged;
        self.place != Place::Idle && unit.is_read() && !judged.plainly_read && !judged.locks
    }

    /// Has the server refuse writes for one statement inside an open transaction.
    pub(crate) async fn guard(&mut self, on: &Departure) -> Result<(), End> {
        let statements = ["SAVEPOINT _killick_read", "SET LOCAL transaction_read_only = on"];
        self.server.own_all(on, &statements).await?;
        Ok(())
    }

    /// Lets writes be possible again, when the statement went well: a subtransaction takes what it may write with it
    /// when it is released. Rolling it back would take the locks and cursors of the agent's own with it.
    /// A failed statement leaves the transaction failed, as the agent expects.
    pub(crate) async fn unguard(&mut self, on: &Departure, went_well: bool) -> Result<(), End> {
        if went_well {
            self.server.own(on, "RELEASE SAVEPOINT _killick_read").await?;
        }
        Ok(())
    }

    /// Lets writes be possible again. What was bound under the guard ends with it: it would go on without.
    pub(crate) async fn end_guard(&mut self) -> Result<(), End> {
        self.guarded = false;
        self.fetching = false;
        let holds = self.place != Place::Failed;
        let bound = self.portals.extract_if(|_, portal| portal.guarded);
        for (name, _) in bound.filter(|_| holds) {
            // Answered before the statement that follows in the same write.
            frontend::encode_close(self.server.output(), b'P', &name);
        }
        let departure = Arc::clone(&self.departure);
        self.unguard(&departure, holds).await
    }
}

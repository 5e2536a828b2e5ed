//! The chain of types: an undecided call cannot be forwarded, and nothing is forwarded twice.
//!
//! Only this crate mints: [`Permitted`] after the decision point's permit, [`Recorded`] after the record
//! took the call (or an errand). Each step eats its input.
//!
//! ```compile_fail,E0423
//! fn forge<C>(call: C) -> killick_gate::Permitted<C> { killick_gate::Permitted(call) }
//! ```
//! ```compile_fail,E0599
//! fn bypass<C: killick_gate::Call>(call: killick_gate::Undecided<C>) { let _ = call.depart(); }
//! ```
//! ```compile_fail,E0599
//! fn unrecorded<C: killick_gate::Call>(call: killick_gate::Permitted<C>) { let _ = call.depart(); }
//! ```
//! ```compile_fail,E0382
//! fn twice<C: killick_gate::Call>(call: killick_gate::Recorded<C>) { let _ = call.depart(); let _ = call.depart(); }
//! ```
//! ```compile_fail,E0277
//! fn copied<C: killick_gate::Call + Clone>() where killick_gate::Permitted<C>: Clone {}
//! fn need<C: killick_gate::Call + Clone>() { copied::<C>() }
//! ```
//! ```compile_fail,E0451
//! fn ticket(call: killick_model::CallId) -> killick_gate::Departure { killick_gate::Departure { call } }
//! ```

use killick_model::record::{Draft, Kind};
use killick_model::{Action, CallDigest, CallId, Code, Outcome, Refusal, UpstreamName};

use zeroize::Zeroizing;

use crate::ending::CarriedYes;
use crate::freeze::Lifeline;
use crate::ports::{Receipt, Reservation};

/// What the gate needs to know of a call, whatever its protocol.
pub trait Call: Send + 'static {
    /// Returns what it would do.
    fn action(&self) -> &Action;
    /// Returns the digest of its meaning.
    fn digest(&self) -> CallDigest;
    /// Returns where it would go.
    fn upstream(&self) -> &UpstreamName;
    /// Returns its canonical form, from which its adapter can revive it. Asked for only when it has to wait.
    ///
    /// # Errors
    /// It cannot be kept.
    fn canonical(&self) -> Result<Zeroizing<Vec<u8>>, Refusal>;
}

/// What the agent asked. Nothing here can reach an upstream.
pub struct Undecided<C>(pub C);

/// Proof that the decision point permitted this very call, once, at this freeze epoch.
#[must_use = "record and send the call, or refuse it on the record"]
pub struct Permitted<C> {
    call: C,
    stamp: Stamp,
}

/// Proof that the permit is on the record. An upstream accepts nothing else.
#[must_use = "send the call; dropping it settles its outcome as unknown"]
pub struct Recorded<C> {
    call: C,
    stamp: Stamp,
    in_flight: InFlight,
    receipt: Receipt,
}

/// The right to open a stream to an upstream for one recorded call.
pub struct Departure {
    call: CallId,
}

/// A call that left the gateway. Settle it; if its task dies first, the record says `unknown`.
#[must_use = "settle the call, or the record will call its outcome unknown"]
pub struct InFlight {
    reservation: Option<Box<dyn Reservation>>,
    entry: Draft,
    outcome: Outcome,
    lifeline: Option<Lifeline>,
    /// Whether an outcome that is no surprise is left out of the record.
    quiet: bool,
}

/// What a permit carries: its id, what it hangs on, and the entry that the record will take.
pub(crate) struct Stamp {
    pub(crate) call: CallId,
    pub(crate) lifeline: Lifeline,
    pub(crate) entry: Draft,
    pub(crate) yes: Option<CarriedYes>,
    pub(crate) points: Vec<String>,
}

impl<C> Permitted<C> {
    pub(crate) fn mint(call: C, stamp: Stamp) -> Self {
        Self { call, stamp }
    }

    pub(crate) fn open(self) -> (C, Stamp) {
        (self.call, self.stamp)
    }

    /// Returns the call.
    pub fn call(&self) -> &C {
        &self.call
    }

    /// Returns the call's id.
    pub fn id(&self) -> &CallId {
        &self.stamp.call
    }

    /// Returns the approval that was spent on it, for the end of its transaction.
    #[must_use]
    pub fn carried(&self) -> Option<CarriedYes> {
        self.stamp.yes.clone()
    }

    /// Returns the recovery points that were taken, or begun, for it.
    #[must_use]
    pub fn points(&self) -> &[String] {
        &self.stamp.points
    }
}

impl<C> Recorded<C> {
    pub(crate) fn mint(call: C, stamp: Stamp, in_flight: InFlight, receipt: Receipt) -> Self {
        Self { call, stamp, in_flight, receipt }
    }

    /// Returns where the call's entry stands.
    pub fn receipt(&self) -> Receipt {
        self.receipt.clone()
    }

    /// Returns the call's id.
    pub fn id(&self) -> &CallId {
        &self.stamp.call
    }

    /// Gives the call out for sending, after looking at the freeze epoch once more.
    ///
    /// # Errors
    /// The agent was frozen or the session ended since the permit; nothing may be sent.
    pub fn depart(self) -> Result<(C, Departure, InFlight, Lifeline), Refusal> {
        let Self { call, stamp, mut in_flight, receipt: _ } = self;
        if let Err(code) = stamp.lifeline.check() {
            in_flight.settle(Outcome::NotSent { code });
            return Err(
                Refusal::new(code, "it was frozen or ended after the permit").with_call(stamp.call)
            );
        }
        in_flight.lifeline = Some(stamp.lifeline.clone());
        Ok((call, Departure { call: stamp.call }, in_flight, stamp.lifeline))
    }
}

impl Departure {
    /// Returns the call that departs.
    #[must_use]
    pub fn call(&self) -> &CallId {
        &self.call
    }
}

impl InFlight {
    pub(crate) fn new(
        reservation: Box<dyn Reservation>,
        call: &CallId,
        like: &Draft,
        quiet: bool,
    ) -> Self {
        let mut entry = Draft::new(Kind::Outcome);
        entry.call = Some(call.clone());
        entry.principal.clone_from(&like.principal);
        entry.operation.clone_from(&like.operation);
        entry.effect = like.effect;
        entry.upstream.clone_from(&like.upstream);
        Self {
            reservation: Some(reservation),
            entry,
            outcome: Outcome::Unknown,
            lifeline: None,
            quiet,
        }
    }

    /// Writes the outcome on the record.
    pub fn settle(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }

    /// Settles as never sent and returns the refusal for the agent.
    #[must_use]
    pub fn refuse(self, refusal: Refusal) -> Refusal {
        let code: Code = refusal.code;
        self.settle(Outcome::NotSent { code });
        refusal
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if let Some(reservation) = self.reservation.take() {
            if self.quiet && matches!(self.outcome, Outcome::Answered { failed: false, .. }) {
                return;
            }
            let cut = self.lifeline.as_ref().is_some_and(|line| line.check().is_err());
            if cut && self.outcome == Outcome::Unknown {
                self.outcome = Outcome::Cut;
            }
            let mut entry = std::mem::replace(&mut self.entry, Draft::new(Kind::Outcome));
            entry.outcome = Some(self.outcome.word().to_owned());
            entry.details = serde_json::to_value(&self.outcome).unwrap_or_default();
            reservation.settle(entry);
        }
    }
}

//! The words in which states are stored, and the moves that exist.

use killick_gate::ports::StoreError;
use killick_model::EffectWord;
use killick_model::request::{Grant, PendingState, RequestState};

pub(crate) const fn request_word(state: RequestState) -> &'static str {
    match state {
        RequestState::Open => "open",
        RequestState::Approved => "approved",
        RequestState::Spent => "spent",
        RequestState::Denied => "denied",
        RequestState::Expired => "expired",
    }
}

pub(crate) fn request_state(word: &str) -> Option<RequestState> {
    use RequestState::{Approved, Denied, Expired, Open, Spent};
    [Open, Approved, Spent, Denied, Expired].into_iter().find(|state| request_word(*state) == word)
}

/// Returns whether a request may go from one state to another. What ended stays ended: an approval
/// that was spent can never be spent again by moving it back.
pub(crate) const fn request_may_move(from: RequestState, to: RequestState) -> bool {
    match (from, to) {
        (RequestState::Open, RequestState::Approved)
        | (
            RequestState::Open | RequestState::Approved,
            RequestState::Denied | RequestState::Expired,
        )
        | (RequestState::Approved, RequestState::Spent) => true,
        (
            RequestState::Open
            | RequestState::Approved
            | RequestState::Spent
            | RequestState::Denied
            | RequestState::Expired,
            RequestState::Open
            | RequestState::Approved
            | RequestState::Spent
            | RequestState::Denied
            | RequestState::Expired,
        ) => false,
    }
}

pub(crate) const fn pending_word(state: PendingState) -> &'static str {
    match state {
        PendingState::Waiting => "waiting",
        PendingState::Sending => "sending",
        PendingState::Sent => "sent",
        PendingState::Cancelled => "cancelled",
        PendingState::Refused => "refused",
        PendingState::Unknown => "unknown",
    }
}

pub(crate) fn pending_state(word: &str) -> Option<PendingState> {
    use PendingState::{Cancelled, Refused, Sending, Sent, Unknown, Waiting};
    [Waiting, Sending, Sent, Cancelled, Refused, Unknown]
        .into_iter()
        .find(|state| pending_word(*state) == word)
}

/// Returns whether a parked call may go from one state to another. One that is being sent cannot
/// wait again: it would be sent twice.
pub(crate) const fn pending_may_move(from: PendingState, to: PendingState) -> bool {
    match (from, to) {
        (
            PendingState::Waiting,
            PendingState::Sending | PendingState::Cancelled | PendingState::Refused,
        )
        | (
            PendingState::Sending,
            PendingState::Sent | PendingState::Refused | PendingState::Unknown,
        ) => true,
        (
            PendingState::Waiting
            | PendingState::Sending
            | PendingState::Sent
            | PendingState::Cancelled
            | PendingState::Refused
            | PendingState::Unknown,
            PendingState::Waiting
            | PendingState::Sending
            | PendingState::Sent
            | PendingState::Cancelled
            | PendingState::Refused
            | PendingState::Unknown,
        ) => false,
    }
}

/// Refuses a grant for what no grant can cover. Reading is granted by the name of what is read: within a session's own
/// environment it needs no grant, and nowhere does one open everything.
pub(crate) fn check_grant(grant: &Grant) -> Result<(), StoreError> {
    match grant.effect {
        EffectWord::Write | EffectWord::Administer => Ok(()),
        EffectWord::Read if !grant.objects.is_empty() => Ok(()),
        EffectWord::Read | EffectWord::Destroy | EffectWord::Unrecognized => Err(
            StoreError::Failed("a grant covers write, administer, or reading named objects".into()),
        ),
    }
}

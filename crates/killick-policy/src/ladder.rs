//! The ladder: the same question with one fact more, until it is permitted.

use std::sync::Arc;

use killick_model::{Code, Survivable};

/// What Cedar said to one question.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Whether it permits. Never when a policy erred.
    pub permits: bool,
    /// The policies that decided: permits when it permits, forbids when one forbids.
    pub policies: Vec<Arc<str>>,
    /// The policies that could not be evaluated. One is enough to deny.
    pub errors: Vec<Arc<str>>,
}

/// One rung of the ladder: the facts asked as if, and the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rung {
    /// How the call would be survived.
    pub survivable: Option<Survivable>,
    /// How many humans would approve; 0 asks as it is.
    pub approvals: u32,
    /// What Cedar said.
    pub answer: Answer,
}

/// Where the climb ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Landing {
    /// Permitted, when this is done first; nothing when both are empty.
    Permit {
        /// How many humans must approve.
        approvals: u32,
        /// What must be done before it is sent.
        survivable: Option<Survivable>,
    },
    /// No rung holds.
    Deny(Code),
}

impl Landing {
    /// Permitted as it is.
    pub const AS_IT_IS: Self = Self::Permit { approvals: 0, survivable: None };
}

/// All rungs that were asked, in order, and where the climb ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ladder {
    /// The rungs asked; the last one permits unless the landing is a denial.
    pub rungs: Vec<Rung>,
    /// Where it ended.
    pub landing: Landing,
    /// The policies that decided: what stood in the way as it is, then what permits or forbids in the end.
    pub policies: Vec<Arc<str>>,
    /// Why, as the deciding policies and the facts say; one sentence for people and agents.
    pub because: String,
}

/// Returns which of two reasons for denial is told first: the higher. A reason of a policy's own is told before
/// the plain "forbidden".
pub(crate) fn gravity(code: Code) -> u8 {
    const TOLD_FIRST: [Code; 3] =
        [Code::CrossEnvironment, Code::Unrecognized, Code::DecisionFailed];
    match TOLD_FIRST.iter().zip(2..).find(|(it, _)| **it == code) {
        Some((_, gravity)) => gravity,
        None => u8::from(code != Code::Forbidden),
    }
}

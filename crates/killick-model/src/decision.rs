//! What may happen to a call, and what became of it.

use serde::{Deserialize, Serialize};

use crate::refusal::Code;

/// A way in which a call can be survived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Survivable {
    /// A recovery point outside the blast radius is taken first.
    RecoveryPoint,
    /// The call is parked for a grace period in which a human may cancel it.
    Deferred,
}

impl Survivable {
    /// Returns the word that policies read in `context.survivable`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RecoveryPoint => "recovery_point",
            Self::Deferred => "deferred",
        }
    }
}

/// Which ways of survival exist for a part, as far as the gateway found out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Means {
    /// A recovery point outside the blast radius can be taken.
    pub recovery_point: bool,
    /// The call can be deferred.
    pub deferral: bool,
}

impl Means {
    /// Returns the ways in the order in which the ladder tries them.
    pub fn ways(self) -> impl Iterator<Item = Survivable> {
        [
            self.recovery_point.then_some(Survivable::RecoveryPoint),
            self.deferral.then_some(Survivable::Deferred),
        ]
        .into_iter()
        .flatten()
    }
}

/// What must be done before a permit counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Obligation {
    /// Take the pack's recovery point for the objects of a part.
    RecoveryPoint {
        /// The pack's name for it.
        point: String,
        /// The part, by its place in the call.
        part: usize,
    },
    /// Park the call for a grace period.
    Defer {
        /// How long, in milliseconds.
        grace_millis: u64,
    },
}

/// What became of a call after it was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Outcome {
    /// The upstream answered.
    Answered {
        /// The HTTP status or the protocol's own code as a number.
        status: u16,
        /// Whether the answer says that it failed.
        failed: bool,
        /// Bytes of the answer passed on, when the answer ended.
        bytes: u64,
    },
    /// Nothing left the gateway after all.
    NotSent {
        /// Why.
        code: Code,
    },
    /// It was sent, and nobody knows what became of it.
    Unknown,
    /// The connection was cut by a freeze or a revocation.
    Cut,
}

impl Outcome {
    /// Returns the word for the record.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Answered { failed: false, .. } => "answered",
            Self::Answered { failed: true, .. } => "failed",
            Self::NotSent { .. } => "not_sent",
            Self::Unknown => "unknown",
            Self::Cut => "cut",
        }
    }
}

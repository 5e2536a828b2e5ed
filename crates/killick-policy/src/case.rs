//! What is asked: one operation on one object, or all of a call.

use killick_model::{Action, BackupsFate, Effect, Means, ObjectFacts, Part, Principal, Survivable};

/// What stands besides the call itself: what humans said, and what was done already.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Standing {
    /// An approval that was given for this very call and still fits.
    pub approved: Option<Approved>,
    /// What was done already to survive the call: set when a parked call comes back after its grace period.
    pub survived: Option<Survivable>,
    /// A human opened a time-boxed exception for the agent.
    pub break_glass: bool,
    /// The owner said that production may be written without a fence.
    pub production_waiver: bool,
    /// The session's own environment is production by the names of the pack. `false` when nobody knows.
    pub session_in_production: bool,
    /// Rows that the owner's agents destroyed in this environment lately, those of this call included.
    pub damage_rows: u64,
    /// Whole objects that they destroyed lately, those of this call included.
    pub damage_objects: u64,
}

/// An approval as policies see it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Approved {
    /// Who said yes, as `ISSUER:SUBJECT`.
    pub by: Vec<String>,
    /// How many humans that are.
    pub quorum: u32,
}

/// One question: one operation on one object.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// Who asks.
    pub principal: &'a Principal,
    /// `PACK.OPERATION`.
    pub operation: &'a str,
    /// What it would do.
    pub effect: Effect,
    /// Whether nothing brings it back.
    pub irreversible: bool,
    /// Whether the object's own backups go with it.
    pub backups: BackupsFate,
    /// What was found out about the object.
    pub object: &'a ObjectFacts,
    /// In which ways it can be survived.
    pub means: Means,
    /// How many objects the whole call touches.
    pub objects: usize,
    /// What stands besides.
    pub standing: &'a Standing,
}

/// All questions of a call.
#[derive(Clone, Copy, Debug)]
pub struct CallCase<'a> {
    /// Who asks.
    pub principal: &'a Principal,
    /// What the call would do.
    pub action: &'a Action,
    /// What was found out about its objects, in any order; one that is missing here is unresolved.
    pub facts: &'a [ObjectFacts],
    /// In which ways each part can be survived, in the order of [`Action::parts`]; none where missing.
    pub means: &'a [Means],
    /// What stands besides.
    pub standing: &'a Standing,
}

impl<'a> CallCase<'a> {
    /// Returns the question about one part and one object.
    pub(crate) fn case(
        &self,
        part: &'a Part,
        means: Means,
        object: &'a ObjectFacts,
        objects: usize,
    ) -> Case<'a> {
        Case {
            principal: self.principal,
            operation: &part.operation,
            effect: part.effect,
            irreversible: part.irreversible,
            backups: part.backups,
            object,
            means,
            objects,
            standing: self.standing,
        }
    }
}

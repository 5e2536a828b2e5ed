//! The ruling on a whole call: as bad as its worst part, and a permit covers every part and every object.

use std::collections::BTreeSet;

use killick_model::{Action, Code, ObjectFacts, ObjectRef, Survivable};

use crate::case::{CallCase, Case};
use crate::ladder::{Ladder, Landing, gravity};
use crate::pdp::Pdp;

/// What the decision point says to a call.
#[must_use = "a ruling nobody acts on is a bypass"]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruling {
    /// What it is.
    pub verdict: Verdict,
    /// The policies that decided, as `FILE#ID`.
    pub policies: Vec<String>,
    /// Why it is not permitted as it is; `None` when only something must be done first, or nothing.
    pub reason: Option<Code>,
    /// Why, in a sentence with the facts.
    pub because: String,
}

/// Whether a call may be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it is.
    Permit,
    /// When this is done first.
    Need(Needs),
    /// Not at all.
    Deny,
}

/// What must be done before a call may be sent. When it cannot be done, the call is not sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// How many humans must approve; 0 for none. After approval the decision point is asked again.
    pub approvals: u32,
    /// For each part in order, the ways in which it must be made survivable: all of them, recovery point
    /// before deferral.
    pub survivable: Vec<BTreeSet<Survivable>>,
}

impl Needs {
    /// Returns whether a human must be asked.
    #[must_use]
    pub fn approval(&self) -> bool {
        self.approvals > 0
    }

    /// Returns whether any part needs this way of survival.
    #[must_use]
    pub fn any(&self, way: Survivable) -> bool {
        self.survivable.iter().any(|part| part.contains(&way))
    }
}

impl Pdp {
    /// Judges a call: every part on every object. Denied if any is denied, approval if any needs it.
    pub fn judge_call(&self, call: &CallCase<'_>) -> Ruling {
        let objects = match measured(call.action) {
            Ok(objects) => objects,
            Err(refused) => return refused,
        };
        let mut merge = Merge::default();
        for (at, part) in call.action.parts().iter().enumerate() {
            let means = call.means.get(at).copied().unwrap_or_default();
            merge.part();
            for object in &part.objects {
                let unresolved;
                let facts = if let Some(facts) = facts_of(call.facts, object) {
                    facts
                } else {
                    unresolved = ObjectFacts::unresolved(object.clone());
                    &unresolved
                };
                let case = call.case(part, means, facts, objects);
                merge.add(&case, &self.climbed(&case));
            }
        }
        merge.ruling()
    }
}

/// Returns how many objects the call touches. An action that was read back from a store is measured again.
fn measured(action: &Action) -> Result<usize, Ruling> {
    let refuse = |code: Code, because: &str| Ruling {
        verdict: Verdict::Deny,
        policies: Vec::new(),
        reason: Some(code),
        because: because.into(),
    };
    let parts = action.parts();
    let named: usize = parts.iter().map(|part| part.objects.len()).sum();
    if parts.is_empty() || parts.iter().any(|part| part.objects.is_empty()) {
        return Err(refuse(Code::Unrecognized, "the call holds nothing that could be judged"));
    }
    if parts.len() > Action::PARTS_MAX || named > Action::OBJECTS_MAX {
        return Err(refuse(Code::TooMany, "the call holds more than is judged at once"));
    }
    Ok(action.objects().len())
}

/// Returns the facts of an object. Two that differ are no facts.
fn facts_of<'a>(facts: &'a [ObjectFacts], object: &ObjectRef) -> Option<&'a ObjectFacts> {
    let mut found = facts.iter().filter(|it| it.object == *object);
    let first = found.next()?;
    found.all(|other| other == first).then_some(first)
}

/// The answers so far.
#[derive(Default)]
struct Merge {
    denied: Option<(Code, String)>,
    asked: Option<String>,
    other: Option<String>,
    needs: Needs,
    policies: BTreeSet<String>,
    denying: BTreeSet<String>,
}

impl Merge {
    fn part(&mut self) {
        self.needs.survivable.push(BTreeSet::new());
    }

    fn add(&mut self, case: &Case<'_>, ladder: &Ladder) {
        let policies = ladder.policies.iter().map(ToString::to_string);
        match ladder.landing {
            Landing::Deny(code) => {
                self.denying.extend(policies);
                let graver =
                    self.denied.as_ref().is_none_or(|(old, _)| gravity(code) > gravity(*old));
                if graver {
                    self.denied = Some((code, ladder.because.clone()));
                }
            }
            Landing::Permit { approvals, survivable } => {
                self.policies.extend(policies);
                self.needs.approvals = self.needs.approvals.max(approvals);
                if let Some(part) = self.needs.survivable.last_mut() {
                    part.extend(survivable);
                }
                let sentence = match (approvals, survivable) {
                    (0, None) => None,
                    (0, Some(_)) => Some(&mut self.other),
                    (_, _) => Some(&mut self.asked),
                };
                if let Some(slot) = sentence {
                    slot.get_or_insert_with(|| ladder.because.clone());
                } else if self.other.is_none() && case.objects == 1 {
                    self.other = Some(ladder.because.clone());
                }
            }
        }
    }

    fn ruling(self) -> Ruling {
        if let Some((code, because)) = self.denied {
            return Ruling {
                verdict: Verdict::Deny,
                policies: self.denying.into_iter().collect(),
                reason: Some(code),
                because,
            };
        }
        let because =
            self.asked.or(self.other).unwrap_or_else(|| "policy permits every part".into());
        let reason = self.needs.approval().then_some(Code::ApprovalNeeded);
        let nothing = self.needs.survivable.iter().all(BTreeSet::is_empty);
        let verdict = match reason {
            None if nothing => Verdict::Permit,
            None | Some(_) => Verdict::Need(self.needs),
        };
        Ruling { verdict, policies: self.policies.into_iter().collect(), reason, because }
    }
}

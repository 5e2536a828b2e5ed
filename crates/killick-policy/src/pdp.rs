//! The decision point: loaded once, immutable, asked many times.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use cedar_policy::{Authorizer, Decision, PolicyId, PolicySet, Request};
use killick_model::{Code, Effect, EffectWord, Facet, Survivable};

use crate::because;
use crate::case::{Approved, Case};
use crate::catalogue::{ActionCatalogue, SCHEMA_TEXT};
use crate::ladder::{Answer, Ladder, Landing, Rung, gravity};
use crate::load::{self, Loaded};
use crate::question::{Question, Vocabulary};
use crate::remembered::Remembered;
use crate::slice::Slices;
use crate::source::{PolicyProblem, PolicySource, version_of};

/// Most humans whose approval the ladder asks for, and only where a policy speaks of a quorum.
const QUORUM_MAX: u32 = 3;

/// Which policies a question is asked of.
type Pick = fn(&Slices, &Question) -> Result<Arc<PolicySet>, String>;

/// The policy decision point. Immutable once loaded; a change of policy is a new one, swapped as a whole.
pub struct Pdp {
    pub(crate) words: Vocabulary,
    pub(crate) policies: HashMap<PolicyId, Loaded>,
    slices: Slices,
    remembered: Remembered,
    authorizer: Authorizer,
    version: String,
    quorum_max: u32,
}

impl fmt::Debug for Pdp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pdp")
            .field("version", &self.version)
            .field("policies", &self.policies.len())
            .finish_non_exhaustive()
    }
}

impl Pdp {
    /// Loads policies: guards, parses and validates all of them. No file at all is a decision point that
    /// permits nothing.
    ///
    /// # Errors
    /// Everything that is wrong, with file and line; then nothing is loaded.
    pub fn load(
        sources: &[PolicySource],
        catalogue: &ActionCatalogue,
    ) -> Result<Self, Vec<PolicyProblem>> {
        let words = Vocabulary::new()
            .map_err(|error| vec![PolicyProblem::of_file("killick.cedarschema", error)])?;
        let loaded = load::load(&words, sources, catalogue)?;
        let says_quorum = sources.iter().any(|source| source.text.contains("quorum"));
        Ok(Self {
            slices: Slices::new(&loaded),
            policies: loaded.into_iter().map(|it| (it.policy.id().clone(), it)).collect(),
            remembered: Remembered::default(),
            words,
            authorizer: Authorizer::new(),
            version: version_of(sources, SCHEMA_TEXT),
            quorum_max: if says_quorum { QUORUM_MAX } else { 1 },
        })
    }

    /// Returns the digest over all policy texts and the schema, in hex.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Returns how many policies there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.policies.len()
    }

    /// Returns whether there is no policy; then nothing is permitted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.policies.is_empty()
    }

    /// Climbs the ladder for one operation on one object.
    #[must_use]
    pub fn climb(&self, case: &Case<'_>) -> Ladder {
        Ladder::clone(&self.climbed(case))
    }

    /// Climbs the ladder, or returns the one of an equal case before.
    pub(crate) fn climbed(&self, case: &Case<'_>) -> Arc<Ladder> {
        self.remembered.or_climb(case, || self.climb_over(case, Slices::of))
    }

    /// Climbs the ladder asking all policies, not only those whose scope can hold, and remembers nothing. The
    /// ladder is the same, later: for tests and measurements.
    #[must_use]
    pub fn climb_whole(&self, case: &Case<'_>) -> Ladder {
        self.climb_over(case, |slices, _| slices.whole())
    }

    fn climb_over(&self, case: &Case<'_>, pick: Pick) -> Ladder {
        let asked = Question::new(&self.words, case)
            .and_then(|question| Ok((pick(&self.slices, &question)?, question)));
        let ladder = match asked {
            Ok((policies, question)) => self.climb_asking(case, &question, &policies),
            Err(error) => because::failed(case, &error),
        };
        match ladder.landing {
            // Scope only takes away; what policy denies already keeps its reason.
            Landing::Permit { .. } if !is_in_scope(case) => because::out_of_scope(case, ladder),
            Landing::Permit { .. } | Landing::Deny(_) => ladder,
        }
    }

    fn climb_asking(&self, case: &Case<'_>, question: &Question, policies: &PolicySet) -> Ladder {
        let mut rungs: Vec<Rung> = Vec::new();
        for (approvals, survivable) in self.rungs(case) {
            let answer = match self.ask(case, question, policies, approvals, survivable) {
                Ok(answer) => answer,
                Err(error) => return because::failed(case, &error),
            };
            let done = answer.permits || !answer.errors.is_empty();
            rungs.push(Rung { survivable, approvals, answer });
            if done {
                break;
            }
        }
        self.landed(case, rungs)
    }

    /// Returns the rungs in the order in which they are asked.
    fn rungs(&self, case: &Case<'_>) -> Vec<(u32, Option<Survivable>)> {
        // What was done already is in the question as it is.
        let more_ways = case.means.ways().filter(|way| Some(*way) != case.standing.survived);
        let ways: Vec<Option<Survivable>> =
            std::iter::once(None).chain(more_ways.map(Some)).collect();
        let given = case.standing.approved.as_ref().map_or(0, |approved| approved.quorum);
        let more = given.saturating_add(1)..=self.quorum_max;
        std::iter::once(0)
            .chain(more)
            .flat_map(|approvals| ways.iter().map(move |way| (approvals, *way)))
            .collect()
    }

    fn ask(
        &self,
        case: &Case<'_>,
        question: &Question,
        policies: &PolicySet,
        approvals: u32,
        survivable: Option<Survivable>,
    ) -> Result<Answer, String> {
        let as_if = (approvals > 0)
            .then(|| Approved { by: vec![case.principal.owner.to_string()], quorum: approvals });
        let approved = as_if.as_ref().or(case.standing.approved.as_ref());
        let context = question.context(survivable.or(case.standing.survived), approved)?;
        let request = Request::new(
            question.principal.clone(),
            question.action.clone(),
            question.resource.clone(),
            context,
            None,
        )
        .map_err(|e| e.to_string())?;
        let response = self.authorizer.is_authorized(&request, policies, &question.entities);
        let diagnostics = response.diagnostics();
        let errors = self.ids(diagnostics.errors().map(|error| match error {
            cedar_policy::AuthorizationError::PolicyEvaluationError(error) => error.policy_id(),
        }));
        Ok(Answer {
            permits: errors.is_empty() && response.decision() == Decision::Allow,
            policies: self.ids(diagnostics.reason()),
            errors,
        })
    }

    fn ids<'a>(&self, ids: impl Iterator<Item = &'a PolicyId>) -> Vec<Arc<str>> {
        let mut ids: Vec<Arc<str>> = ids
            .map(|id| match self.policies.get(id) {
                Some(loaded) => Arc::clone(&loaded.id),
                None => id.to_string().into(),
            })
            .collect();
        ids.sort();
        ids
    }

    /// Says where the climb ended and why.
    fn landed(&self, case: &Case<'_>, rungs: Vec<Rung>) -> Ladder {
        let erred = rungs.iter().find(|rung| !rung.answer.errors.is_empty());
        if let Some(rung) = erred {
            let policies = rung.answer.errors.clone();
            let because = because::erred(&policies);
            let landing = Landing::Deny(Code::DecisionFailed);
            return Ladder { rungs, landing, policies, because };
        }
        let Some((first, last)) = rungs.first().zip(rungs.last()) else {
            return because::failed(case, "no question was asked");
        };
        let mut policies = first.answer.policies.clone();
        policies.extend(
            last.answer.policies.iter().filter(|id| !first.answer.policies.contains(id)).cloned(),
        );
        if last.answer.permits {
            let Rung { approvals, survivable, .. } = *last;
            let landing = Landing::Permit { approvals, survivable };
            let stood = self.meanings(&first.answer.policies);
            let because = because::permitted(case, landing, &stood);
            return Ladder { rungs, landing, policies, because };
        }
        let policies = last.answer.policies.clone();
        let landing = Landing::Deny(self.reason(case, &policies));
        let because = because::denied(case, &self.meanings(&policies));
        Ladder { rungs, landing, policies, because }
    }

    /// Returns why a call is denied: the gravest `@reason` of the forbids, or what the facts say.
    fn reason(&self, case: &Case<'_>, policies: &[Arc<str>]) -> Code {
        let said = policies.iter().filter_map(|id| self.loaded(id)?.reason);
        let unrecognized = case.effect == Effect::Unrecognized;
        let default = if unrecognized { Code::Unrecognized } else { Code::Forbidden };
        said.max_by_key(|code| gravity(*code)).unwrap_or(default)
    }

    /// Returns what forbids say of themselves, for the sentence.
    fn meanings(&self, policies: &[Arc<str>]) -> Vec<(Arc<str>, Option<Arc<str>>)> {
        policies
            .iter()
            .filter_map(|id| self.loaded(id))
            .filter(|loaded| loaded.forbids)
            .map(|loaded| (Arc::clone(&loaded.id), loaded.because.clone()))
            .collect()
    }

    fn loaded(&self, id: &str) -> Option<&Loaded> {
        self.policies.get(&PolicyId::new(id))
    }
}

/// Returns whether the session's scope holds the case. What nobody recognizes may do anything, so it takes a
/// scope that holds everything; what administers takes that too, whatever else it does.
fn is_in_scope(case: &Case<'_>) -> bool {
    let holds = |word| case.principal.scope.admits(word, &case.object.object);
    let word = case.effect.word();
    match word {
        EffectWord::Unrecognized => {
            [EffectWord::Read, EffectWord::Write, EffectWord::Destroy, EffectWord::Administer]
                .into_iter()
                .all(holds)
        }
        EffectWord::Read | EffectWord::Write | EffectWord::Destroy | EffectWord::Administer => {
            holds(word) && (!case.effect.has(Facet::Administers) || holds(EffectWord::Administer))
        }
    }
}

//! What would be decided about an action, without a record, a store or an upstream.

use killick_model::explain::{Explanation, Verdict};
use killick_model::{
    Action, Effect, Means, ObjectFacts, ObjectRef, Principal, Refusal, Survivable,
};
use killick_policy::{CallCase, Pdp, Standing, Verdict as Said};

/// An action as an adapter judged it, with what is assumed about its objects.
pub struct Hypothesis<'a> {
    /// Who would ask.
    pub who: &'a Principal,
    /// What the call would do.
    pub action: &'a Action,
    /// What is assumed about its objects.
    pub facts: &'a [ObjectFacts],
    /// Whether the session's environment is production by the upstream's names.
    pub session_in_production: bool,
    /// The owner's waiver for production without a fence.
    pub production_waiver: bool,
}

/// Explains an action by the same decision point that the gate asks.
#[must_use]
pub fn explain(pdp: &Pdp, id: serde_json::Value, hypothesis: &Hypothesis<'_>) -> Explanation {
    let action = hypothesis.action;
    // What lives on an object, the running gateway alone knows: here the pack's own ways are all there is.
    let means: Vec<Means> = action
        .parts()
        .iter()
        .map(|part| Means {
            recovery_point: part.recovery.point.is_some(),
            deferral: part.recovery.defer_millis.is_some(),
        })
        .collect();
    let standing = Standing {
        production_waiver: hypothesis.production_waiver,
        session_in_production: hypothesis.session_in_production,
        ..Standing::default()
    };
    let ruling = pdp.judge_call(&CallCase {
        principal: hypothesis.who,
        action,
        facts: hypothesis.facts,
        means: &means,
        standing: &standing,
    });
    let (decision, obligations) = match &ruling.verdict {
        Said::Permit => (Verdict::Permit, Vec::new()),
        Said::Deny => (Verdict::Deny, Vec::new()),
        Said::Need(needs) => {
            let ways = [Survivable::RecoveryPoint, Survivable::Deferred]
                .into_iter()
                .filter(|way| needs.any(*way))
                .map(|way| way.as_str().to_owned());
            if needs.approval() {
                let all = std::iter::once("approval".to_owned()).chain(ways).collect();
                (Verdict::Requestable, all)
            } else {
                (Verdict::Permit, ways.collect())
            }
        }
    };
    Explanation {
        id,
        effect: action.effect().word(),
        irreversible: action.irreversible(),
        unbounded: action.unbounded(),
        objects: action.objects().into_iter().map(ObjectRef::label).collect(),
        environment: environments(action.effect(), hypothesis.facts),
        decision,
        obligations,
        policies: ruling.policies,
        reason: match ruling.reason {
            Some(code) => format!("{code}: {}", ruling.because),
            None => ruling.because,
        },
    }
}

/// Explains a call that was refused before it could be judged: the worst it could be.
#[must_use]
pub fn explain_refused(id: serde_json::Value, refusal: &Refusal) -> Explanation {
    Explanation {
        id,
        effect: killick_model::EffectWord::Unrecognized,
        irreversible: true,
        unbounded: true,
        objects: Vec::new(),
        environment: killick_model::Environment::unknown().to_string(),
        decision: Verdict::Deny,
        obligations: Vec::new(),
        policies: Vec::new(),
        reason: format!("{}: {}", refusal.code, refusal.because),
    }
}

fn environments(effect: Effect, facts: &[ObjectFacts]) -> String {
    if effect == Effect::READ && facts.iter().all(|found| !found.resolved) {
        return "not looked up for a plain read".into();
    }
    let mut names: Vec<String> = facts.iter().map(|found| found.environment.to_string()).collect();
    names.sort();
    names.dedup();
    names.join(", ")
}

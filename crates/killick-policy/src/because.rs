//! The sentence that says why, for people and agents: facts that the gateway found, never the agent's words.

use std::sync::Arc;

use killick_model::{Code, EffectWord, Survivable};

use crate::case::Case;
use crate::ladder::{Ladder, Landing};
use crate::question::Place;

/// Characters of a provider's or a call's own text that are shown.
const SHOWN_CHARS_MAX: usize = 80;

/// Returns what the call would do, to what, and where: "`x.volumeDelete` would destroy volume `pg-data` in
/// production; the session is for staging".
pub(crate) fn what(case: &Case<'_>) -> String {
    let object = &case.object.object;
    let operation = plain(case.operation);
    let does = match case.effect.word() {
        EffectWord::Read => "would read",
        EffectWord::Write => "would change",
        EffectWord::Destroy => "would destroy",
        EffectWord::Administer => "would administer",
        EffectWord::Unrecognized => "is not recognized and could do anything to",
    };
    let name = match (&case.object.name, object.is_named()) {
        (Some(name), _) => format!("{} `{}`", plain(&object.kind), plain(name)),
        (None, true) => format!("{} `{}`", plain(&object.kind), plain(&object.id)),
        (None, false) => format!("a {} that it does not name", plain(&object.kind)),
    };
    let place = Place::of(case.object);
    let place = if place.is_known() {
        format!("in {}", place.label())
    } else {
        "in an environment that nobody knows, which counts as production".into()
    };
    format!(
        "`{operation}` {does} {name} {place}; the session is for {}",
        case.principal.environment
    )
}

/// Returns the sentence of a denial.
pub(crate) fn denied(case: &Case<'_>, forbids: &[(Arc<str>, Option<Arc<str>>)]) -> String {
    if forbids.is_empty() {
        return format!("{}; no policy permits it", what(case));
    }
    format!("{}; {}", what(case), rails(forbids))
}

/// Returns the sentence of a permit, with what it takes.
pub(crate) fn permitted(
    case: &Case<'_>,
    landing: Landing,
    forbids: &[(Arc<str>, Option<Arc<str>>)],
) -> String {
    let takes = takes(landing);
    if takes.is_empty() {
        return what(case);
    }
    let rails = if forbids.is_empty() {
        "no policy permits it as it is".to_owned()
    } else {
        rails(forbids)
    };
    format!("{}; {rails}; it takes {takes}", what(case))
}

/// Returns what a permit takes, in words; empty when it takes nothing.
pub(crate) fn takes(landing: Landing) -> String {
    let (approvals, survivable) = match landing {
        Landing::Permit { approvals, survivable } => (approvals, survivable),
        Landing::Deny(_) => return String::new(),
    };
    let humans = match approvals {
        0 => None,
        1 => Some("a human's approval".to_owned()),
        more => Some(format!("the approval of {more} humans")),
    };
    let way = survivable.map(|way| match way {
        Survivable::RecoveryPoint => "a recovery point first".to_owned(),
        Survivable::Deferred => "a grace period first".to_owned(),
    });
    humans.into_iter().chain(way).collect::<Vec<_>>().join(" and ")
}

fn rails(forbids: &[(Arc<str>, Option<Arc<str>>)]) -> String {
    let each: Vec<String> = forbids
        .iter()
        .map(|(id, because)| match because {
            Some(because) => format!("policy `{id}`: {because}"),
            None => format!("policy `{id}` forbids it"),
        })
        .collect();
    each.join("; ")
}

/// Returns the sentence of a denial by failure.
pub(crate) fn erred(policies: &[Arc<str>]) -> String {
    let names: Vec<String> = policies.iter().map(|id| format!("`{id}`")).collect();
    format!(
        "policy {} could not be evaluated, and an answer without it would be a guess",
        names.join(", ")
    )
}

/// Returns the ladder of a case that could not be asked.
pub(crate) fn failed(case: &Case<'_>, error: &str) -> Ladder {
    Ladder {
        rungs: Vec::new(),
        landing: Landing::Deny(Code::DecisionFailed),
        policies: Vec::new(),
        because: format!("{}; the question could not be asked: {}", what(case), plain(error)),
    }
}

/// Returns the ladder of a case that policy permits and the session's scope does not hold.
pub(crate) fn out_of_scope(case: &Case<'_>, ladder: Ladder) -> Ladder {
    Ladder {
        landing: Landing::Deny(Code::OutOfScope),
        policies: Vec::new(),
        because: format!("{}; the scope of the session does not hold it", what(case)),
        ..ladder
    }
}

/// Returns text from outside so that it can do nothing to a terminal or a sentence: one line of plain
/// characters, cut when long.
pub(crate) fn plain(text: &str) -> String {
    let mut chars = text.chars();
    let shown = chars.by_ref().take(SHOWN_CHARS_MAX);
    let mut out: String = shown.map(|c| if is_plain(c) { c } else { '?' }).collect();
    if chars.next().is_some() {
        out.push_str("...");
    }
    out
}

/// Returns whether a character can stand in a sentence without changing how the rest is read.
pub(crate) fn is_plain(c: char) -> bool {
    c == ' ' || c.is_alphanumeric() || (c.is_ascii_graphic() && c != '`')
}

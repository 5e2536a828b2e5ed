//! Why a case lands where it lands, in full: for people who ask.

use std::collections::BTreeSet;
use std::fmt;

use cedar_policy::{Context, PolicyId};

use crate::because;
use crate::case::Case;
use crate::ladder::{Ladder, Landing};
use crate::pdp::Pdp;
use crate::question::Question;

/// An explanation of one case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// What the call would do, to what, and where.
    pub what: String,
    /// The rungs asked, and where the climb ended.
    pub ladder: Ladder,
    /// The facts that the deciding policies look at, by name, as they are: (`countsAsProduction`, `true`).
    pub facts: Vec<(String, String)>,
}

impl Pdp {
    /// Explains a case: the rung on which it lands, the policies that decide, and the facts they look at.
    #[must_use]
    pub fn explain(&self, case: &Case<'_>) -> Explained {
        let ladder = self.climb(case);
        let mut names = BTreeSet::new();
        for id in ladder.rungs.iter().flat_map(|rung| &rung.answer.policies) {
            if let Some(loaded) = self.policies.get(&PolicyId::new(id)) {
                names.extend(context_names(&loaded.policy));
            }
        }
        let facts = Question::new(&self.words, case)
            .and_then(|question| {
                question.context(case.standing.survived, case.standing.approved.as_ref())
            })
            .map_or_else(|_| Vec::new(), |context| values(&context, names));
        Explained { what: because::what(case), ladder, facts }
    }
}

fn values(context: &Context, names: BTreeSet<String>) -> Vec<(String, String)> {
    names
        .into_iter()
        .map(|name| {
            let value = context.get(&name).map_or("(not known)".to_owned(), |it| it.to_string());
            (name, because::plain(&value))
        })
        .collect()
}

/// Returns the names of the context that a policy looks at.
fn context_names(policy: &cedar_policy::Policy) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    if let Ok(tree) = policy.to_json() {
        let mut open = vec![&tree];
        while let Some(node) = open.pop() {
            match node {
                serde_json::Value::Object(fields) => {
                    names
                        .extend([".", "has"].iter().filter_map(|key| looked_at(fields.get(*key)?)));
                    open.extend(fields.values());
                }
                serde_json::Value::Array(items) => open.extend(items),
                serde_json::Value::Null
                | serde_json::Value::Bool(_)
                | serde_json::Value::Number(_)
                | serde_json::Value::String(_) => {}
            }
        }
    }
    names
}

/// Returns `NAME` of `context.NAME` and `context has NAME`.
fn looked_at(node: &serde_json::Value) -> Option<String> {
    let of_context = node.get("left")?.get("Var")?.as_str() == Some("context");
    let attr = node.get("attr")?;
    // `has a.b` holds a list of names.
    let first = attr.as_str().or_else(|| attr.get(0)?.as_str())?;
    of_context.then(|| first.to_owned())
}

impl fmt::Display for Explained {
    /// Writes the explanation as lines for a terminal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.what)?;
        for (at, rung) in self.ladder.rungs.iter().enumerate() {
            let asked = Landing::Permit { approvals: rung.approvals, survivable: rung.survivable };
            let asked = match because::takes(asked) {
                takes if takes.is_empty() => "as it is".to_owned(),
                takes => format!("with {takes}"),
            };
            let answer = &rung.answer;
            let (said, by) = match (answer.permits, answer.errors.is_empty()) {
                (true, _) => ("permitted", &answer.policies),
                (false, true) => ("denied", &answer.policies),
                (false, false) => ("failed", &answer.errors),
            };
            let by = if by.is_empty() { "no policy".to_owned() } else { by.join(", ") };
            writeln!(f, "  {}. {asked}: {said} by {by}", at.saturating_add(1))?;
        }
        for (name, value) in &self.facts {
            writeln!(f, "     {name} = {value}")?;
        }
        match self.ladder.landing {
            Landing::AS_IT_IS => write!(f, "permitted"),
            Landing::Permit { .. } => {
                write!(f, "takes {}", because::takes(self.ladder.landing))
            }
            Landing::Deny(code) => write!(f, "denied: {code}: {}", self.ladder.because),
        }
    }
}

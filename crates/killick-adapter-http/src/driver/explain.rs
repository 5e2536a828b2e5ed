//! `killick explain`: the gateway's own judgement and decision on a call, without sending anything.

use killick_gate::Pdp;
use killick_gate::explain::{Hypothesis, explain, explain_refused};
use killick_model::admin::Upstream;
use killick_model::explain::{Explanation, Verdict};
use killick_model::{
    Code, CredentialName, Environment, EnvironmentName, ObjectFacts, Principal, Refusal,
};

use crate::credential::{
    CredentialVerdict, Recognise, Recognised, classify, sightings, without_credentials,
};
use crate::explain as written;
use crate::judge::{Judged, RequestView};
use crate::pack::PackSet;

/// What an explanation may assume, since nothing is asked of a provider.
#[derive(Clone, Debug, Default)]
pub struct Assume {
    /// The environment in which every object lives; unknown without it.
    pub environment: Option<EnvironmentName>,
    /// The owner's waiver for production without a fence.
    pub production_waiver: bool,
}

/// What an explanation is judged and decided by.
pub struct Explainer<'a> {
    /// The packs.
    pub packs: &'a PackSet,
    /// The decision point.
    pub pdp: &'a Pdp,
    /// Declared upstreams; a pack's own hosts count as declared too.
    pub upstreams: &'a [Upstream],
    /// What to assume.
    pub assume: Assume,
}

impl Explainer<'_> {
    /// Explains one line in a corpus's form; `None` when it is not HTTP.
    #[must_use]
    pub fn explain(&self, who: &Principal, line: &serde_json::Value) -> Option<Explanation> {
        if !is_http(line) {
            return None;
        }
        let id = line.get("id").cloned().unwrap_or_default();
        let view = match written::read(line) {
            Ok(view) => with_placeholder(view),
            Err(because) => {
                return Some(explain_refused(id, &Refusal::new(Code::AmbiguousBody, because)));
            }
        };
        let upstream = self.declared(&view.host, view.port);
        let positions = upstream
            .as_ref()
            .and_then(|found| found.pack.as_deref())
            .and_then(|name| self.packs.get(name))
            .or_else(|| self.packs.for_host(&view.host, view.port))
            .map(|pack| pack.positions.clone())
            .unwrap_or_default();
        let seen = sightings(&view, &positions);
        let verdict = classify(&seen, &Placeholders);
        let cleared = without_credentials(&view, &positions);
        Some(match written::explain(self.packs, upstream.as_ref(), &cleared) {
            Ok(judged) => {
                let mut told = self.decided(id, who, upstream.as_ref(), &view, &judged);
                if let CredentialVerdict::Foreign { places, .. }
                | CredentialVerdict::Misplaced { places } = verdict
                {
                    let places: Vec<String> = places.iter().map(ToString::to_string).collect();
                    told.decision = Verdict::Deny;
                    told.obligations.clear();
                    told.reason = format!(
                        "{}: a credential that the gateway did not issue stands in {}",
                        Code::ForeignCredential,
                        places.join(", ")
                    );
                }
                told
            }
            Err(refusal) => explain_refused(id, &refusal),
        })
    }

    fn declared(&self, host: &str, port: u16) -> Option<Upstream> {
        self.upstreams
            .iter()
            .find(|upstream| upstream.port == port && upstream.hosts.iter().any(|h| h == host))
            .cloned()
    }

    fn decided(
        &self,
        id: serde_json::Value,
        who: &Principal,
        upstream: Option<&Upstream>,
        view: &RequestView,
        judged: &Judged,
    ) -> Explanation {
        let pack = match upstream.and_then(|found| found.pack.as_deref()) {
            Some(name) => self.packs.get(name),
            None => self.packs.for_host(&view.host, view.port),
        };
        let production = |name: &EnvironmentName| pack.is_some_and(|pack| pack.is_production(name));
        let facts: Vec<ObjectFacts> = judged
            .action
            .objects()
            .into_iter()
            .map(|object| {
                let mut found = ObjectFacts::unresolved(object.clone());
                if let (Some(name), true) = (&self.assume.environment, object.is_named()) {
                    found.environment = Environment::named([name.clone()], production);
                    found.resolved = true;
                } else if let Some(tier) = upstream.and_then(|found| found.declared) {
                    found.environment = Environment::declared(tier);
                    found.resolved = true;
                }
                found
            })
            .collect();
        let mut explanation = explain(
            self.pdp,
            id,
            &Hypothesis {
                who,
                action: &judged.action,
                facts: &facts,
                session_in_production: production(&who.environment),
                production_waiver: self.assume.production_waiver,
            },
        );
        if upstream.is_none() && pack.is_none() {
            explanation.decision = Verdict::Deny;
            explanation.obligations.clear();
            explanation.reason =
                format!("{}: `{}` is not declared", Code::UndeclaredUpstream, view.host);
        }
        if let Err(refused) = judged.sendable() {
            explanation.decision = Verdict::Deny;
            explanation.obligations.clear();
            explanation.reason = format!("{}: {}", refused.code, refused.because);
        }
        explanation
    }
}

/// The word that stands in a written call for a placeholder of the gateway's own.
const BROKERED: &str = "{{BROKERED}}";

/// What it is replaced with, in letters that an authorization header may hold (RFC 9110, token68).
const PLACEHOLDER: &str = "killick-placeholder";

fn with_placeholder(mut view: RequestView) -> RequestView {
    for (_, value) in &mut view.headers {
        if let Ok(text) = std::str::from_utf8(value)
            && text.contains(BROKERED)
        {
            *value = text.replace(BROKERED, PLACEHOLDER).into_bytes();
        }
    }
    view.query = view.query.map(|query| query.replace(BROKERED, PLACEHOLDER));
    view
}

/// What a written call may carry: the word for a placeholder; everything else is nobody's.
struct Placeholders;

impl Recognise for Placeholders {
    fn recognise(&self, bytes: &[u8]) -> Recognised {
        match CredentialName::parse("brokered") {
            Ok(credential) if bytes == PLACEHOLDER.as_bytes() => {
                Recognised::IssuedHere { credential }
            }
            Ok(_) | Err(_) => Recognised::Unknown,
        }
    }
}

fn is_http(line: &serde_json::Value) -> bool {
    let text = |value: Option<&serde_json::Value>| {
        value.and_then(serde_json::Value::as_str).map(str::to_owned)
    };
    let protocol = text(line.get("protocol"));
    let kind = text(line.get("request").and_then(|request| request.get("kind")));
    match (protocol.as_deref(), kind.as_deref()) {
        (Some(protocol), _) => protocol == "http",
        (None, Some(kind)) => kind == "http",
        (None, None) => line.get("url").is_some() || line.pointer("/input/host").is_some(),
    }
}

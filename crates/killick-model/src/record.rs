//! What is kept of everything that happens: who, what, why, outcome.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::action::Action;
use crate::effect::EffectWord;
use crate::id::{CallId, CredentialName, UpstreamName};
use crate::principal::Principal;
use crate::refusal::Code;

/// What an entry of the record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A call that was permitted and is about to be sent.
    Call,
    /// A call that was refused.
    Refusal,
    /// A call of the gateway's own.
    Errand,
    /// What must be done before a permit counts was done, or failed.
    Obligation,
    /// What became of a call.
    Outcome,
    /// An access request was opened or ended.
    Request,
    /// A human answered a request.
    Approval,
    /// A grant was given or used.
    Grant,
    /// A call was parked, cancelled or became due.
    Pending,
    /// A foreign credential was seen.
    Foreign,
    /// A known credential was taken out of a body.
    Redaction,
    /// An agent was frozen or thawed.
    Standing,
    /// An agent was added or removed.
    Agent,
    /// A session was opened or closed.
    Session,
    /// A credential was added, rotated or removed.
    Credential,
    /// Policy, upstreams or other configuration changed.
    Configuration,
    /// A break-glass was opened or ended.
    BreakGlass,
    /// The gateway started.
    Start,
    /// The gateway stopped in good order.
    Stop,
}

impl Kind {
    /// Returns the word of the record's own vocabulary.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Refusal => "refusal",
            Self::Errand => "errand",
            Self::Obligation => "obligation",
            Self::Outcome => "outcome",
            Self::Request => "request",
            Self::Approval => "approval",
            Self::Grant => "grant",
            Self::Pending => "pending",
            Self::Foreign => "foreign",
            Self::Redaction => "redaction",
            Self::Standing => "standing",
            Self::Agent => "agent",
            Self::Session => "session",
            Self::Credential => "credential",
            Self::Configuration => "configuration",
            Self::BreakGlass => "break_glass",
            Self::Start => "start",
            Self::Stop => "stop",
        }
    }
}

/// One entry before it is bound to time and place: a small plain header, and details that are kept
/// encrypted beside the log. No payload and no secret stands in either.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Draft {
    /// What it is about.
    pub kind: Kind,
    /// The call it belongs to.
    pub call: Option<CallId>,
    /// Who: the session with its chain, agent and owner; `None` for the gateway itself.
    pub principal: Option<Arc<Principal>>,
    /// The human who did it (administration).
    pub by: Option<String>,
    /// The operation that is worst.
    pub operation: Option<String>,
    /// The effect of the whole.
    pub effect: Option<EffectWord>,
    /// `permit`, `requestable`, `deny`, `pending`.
    pub verdict: Option<String>,
    /// Where the objects live.
    pub environment: Option<String>,
    /// The upstream.
    pub upstream: Option<UpstreamName>,
    /// The credential used, by name.
    pub credential: Option<CredentialName>,
    /// Why, as a code.
    pub code: Option<Code>,
    /// The outcome's word.
    pub outcome: Option<String>,
    /// The policies that decided.
    pub policies: Vec<String>,
    /// How many objects.
    pub objects: Option<u32>,
    /// Everything else, encrypted beside the log; `Null` for nothing.
    pub details: serde_json::Value,
    /// Details that are JSON text already, a whole object; then they are not in `details`.
    pub written: Option<String>,
}

impl Draft {
    /// Returns an empty entry of a kind.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            call: None,
            principal: None,
            by: None,
            operation: None,
            effect: None,
            verdict: None,
            environment: None,
            upstream: None,
            credential: None,
            code: None,
            outcome: None,
            policies: Vec::new(),
            objects: None,
            details: serde_json::Value::Null,
            written: None,
        }
    }

    /// Returns the entry with what the call would do.
    #[must_use]
    pub fn of_action(mut self, action: &Action) -> Self {
        self.operation = Some(action.headline().to_owned());
        self.effect = Some(action.effect().word());
        self.objects = u32::try_from(action.objects().len()).ok();
        self
    }

    /// Returns the entry with who did it.
    #[must_use]
    pub fn of_principal(mut self, principal: &Principal) -> Self {
        self.principal = Some(Arc::new(principal.clone()));
        self
    }

    /// Returns the entry with who did it, shared.
    #[must_use]
    pub fn of_shared(mut self, principal: &Arc<Principal>) -> Self {
        self.principal = Some(Arc::clone(principal));
        self
    }

    /// Adds a detail, whichever form the details have.
    pub fn add_detail(&mut self, name: &str, value: serde_json::Value) {
        if let Some(object) = self.details.as_object_mut() {
            object.insert(name.to_owned(), value);
        } else if let Some(written) = &mut self.written
            && written.ends_with('}')
        {
            written.pop();
            let comma = if written.ends_with('{') { "" } else { "," };
            let name = serde_json::Value::from(name);
            for piece in [comma, &name.to_string(), ":", &value.to_string(), "}"] {
                written.push_str(piece);
            }
        }
    }

    /// Returns the entry with details.
    #[must_use]
    pub fn with_details(mut self, details: serde_json::Value) -> Self {
        self.details = details;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detail_is_added_to_details_in_either_form() {
        let mut tree = Draft::new(Kind::Call).with_details(serde_json::json!({"a": 1}));
        let mut written = Draft::new(Kind::Call);
        written.written = Some("{\"a\":1}".into());
        let mut empty = Draft::new(Kind::Call);
        empty.written = Some("{}".into());
        for draft in [&mut tree, &mut written, &mut empty] {
            draft.add_detail("b \"c\"", serde_json::json!(["d"]));
        }
        let read = |draft: &Draft| -> serde_json::Value {
            serde_json::from_str(draft.written.as_deref().unwrap()).unwrap()
        };
        assert_eq!(read(&written), tree.details);
        assert_eq!(read(&empty), serde_json::json!({"b \"c\"": ["d"]}));
    }
}

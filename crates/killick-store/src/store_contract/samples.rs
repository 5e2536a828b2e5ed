//! Rows for tests of the store.

use std::collections::BTreeSet;

use killick_model::admin::{Agent, Session, Standing, Upstream};
use killick_model::request::{
    AccessRequest, Answer, BreakGlass, Grant, Pending, PendingState, RequestState,
};
use killick_model::{
    Action, AgentName, BackupsFate, CallDigest, CallId, Effect, EffectWord, EnvironmentName,
    ObjectFacts, ObjectRef, Obligation, Owner, Part, PendingId, Principal, Recovery, RequestId,
    Scope, SessionId, UnixMillis, UpstreamName,
};

/// The moment of every sample, in milliseconds.
pub const NOW: u64 = 1_000_000;

/// Returns the owner of every sample.
#[must_use]
pub fn owner() -> Owner {
    Owner::parse("local:alice").unwrap()
}

/// Returns an agent.
#[must_use]
pub fn agent(name: &str) -> Agent {
    Agent {
        name: AgentName::parse(name).unwrap(),
        owner: owner(),
        groups: BTreeSet::new(),
        standing: Standing::Good,
        added: UnixMillis(NOW),
    }
}

/// Returns a session's principal.
#[must_use]
pub fn principal(session: &str, agent: &str) -> Principal {
    let session = SessionId::parse(session).unwrap();
    Principal {
        session: session.clone(),
        chain: vec![session],
        agent: AgentName::parse(agent).unwrap(),
        groups: BTreeSet::new(),
        owner: owner(),
        environment: EnvironmentName::parse("staging").unwrap(),
        task: "fix the login".into(),
        scope: Scope::full(),
        expires: UnixMillis(NOW + 8 * 3_600_000),
        fence: false,
    }
}

/// Returns an open session.
#[must_use]
pub fn session(id: &str, agent: &str) -> Session {
    Session {
        principal: principal(id, agent),
        opened: UnixMillis(NOW),
        closed: None,
        verifier: None,
    }
}

/// Returns an upstream.
#[must_use]
pub fn upstream(name: &str) -> Upstream {
    Upstream {
        name: UpstreamName::parse(name).unwrap(),
        hosts: vec![format!("{name}.example")],
        port: 443,
        tls: true,
        pack: None,
        declared: None,
        model_provider: false,
        dial: None,
        writes_by_method: false,
        private_address: false,
    }
}

/// Returns an object of the upstream `harbour`.
#[must_use]
pub fn object(kind: &str, id: &str) -> ObjectRef {
    ObjectRef {
        upstream: UpstreamName::parse("harbour").unwrap(),
        kind: kind.into(),
        id: id.into(),
        within: None,
    }
}

/// Returns a request's id.
#[must_use]
pub fn request_id(raw: &str) -> RequestId {
    RequestId::parse(raw).unwrap()
}

/// Returns a parked call's id.
#[must_use]
pub fn pending_id(raw: &str) -> PendingId {
    PendingId::parse(raw).unwrap()
}

fn action() -> Action {
    let part = Part {
        operation: "harbour.volumeDelete".into(),
        effect: Effect::Unrecognized,
        irreversible: true,
        backups: BackupsFate::Die,
        objects: vec![object("volume", "v1")],
        recovery: Recovery::default(),
        why: "deletes the volume and its backups".into(),
    };
    Action::new(vec![part], "mutation { volumeDelete }".into()).unwrap()
}

/// Returns an open request for a call with this meaning.
#[must_use]
pub fn request(id: &str, session: &str, agent: &str, meaning: &[u8]) -> AccessRequest {
    AccessRequest {
        id: request_id(id),
        call: CallId::parse("c-1").unwrap(),
        principal: principal(session, agent),
        action: action(),
        digest: CallDigest::of(&[meaning]),
        upstream: UpstreamName::parse("harbour").unwrap(),
        facts: vec![ObjectFacts::unresolved(object("volume", "v1"))],
        obligations: vec![Obligation::Defer { grace_millis: 60_000 }],
        state: RequestState::Open,
        asked: UnixMillis(NOW),
        expires: UnixMillis(NOW + AccessRequest::OPEN_MILLIS_MAX),
        answer: None,
        send_when_approved: false,
    }
}

/// Returns a waiting call with this meaning.
#[must_use]
pub fn pending(id: &str, session: &str, agent: &str, meaning: &[u8]) -> Pending {
    Pending {
        id: pending_id(id),
        call: CallId::parse("c-1").unwrap(),
        principal: principal(session, agent),
        action: action(),
        digest: CallDigest::of(&[meaning]),
        upstream: UpstreamName::parse("harbour").unwrap(),
        adapter: "http".into(),
        facts: vec![ObjectFacts::unresolved(object("volume", "v1"))],
        request: None,
        state: PendingState::Waiting,
        parked: UnixMillis(NOW),
        due: UnixMillis(NOW + 60_000),
    }
}

/// Returns a grant with so many uses.
#[must_use]
pub fn grant(id: &str, left: u32) -> Grant {
    Grant {
        id: id.into(),
        session: SessionId::parse("s-1").unwrap(),
        effect: EffectWord::Write,
        objects: vec!["service:web".into()],
        left,
        expires: UnixMillis(NOW + 60_000),
        by: owner(),
    }
}

/// Returns an open break-glass.
#[must_use]
pub fn glass(agent: &str) -> BreakGlass {
    BreakGlass {
        agent: AgentName::parse(agent).unwrap(),
        reason: "the site is down".into(),
        by: owner(),
        expires: UnixMillis(NOW + 60_000),
    }
}

/// Returns a human's yes.
#[must_use]
pub fn answer() -> Answer {
    Answer {
        by: owner(),
        proof: "passphrase".into(),
        at: UnixMillis(NOW + 1),
        note: Some("go on".into()),
    }
}

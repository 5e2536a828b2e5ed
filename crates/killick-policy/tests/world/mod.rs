//! A small world to ask about: one agent, one object, facts by name.

#![allow(dead_code, reason = "each test file uses its own part of the world")]
#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::OnceLock;

use killick_model::{
    AgentName, BackupsFate, Effect, EffectWord, Environment, EnvironmentName, Means, ObjectFacts,
    ObjectRef, Owner, Principal, Scope, SessionId, Survivable, Tier, UnixMillis, UpstreamName,
    principal::ScopedEffect,
};
use killick_policy::{
    ActionCatalogue, Approved, Case, Landing, Pdp, PolicyProblem, PolicySource, Standing,
};

pub(crate) fn catalogue() -> ActionCatalogue {
    let mut catalogue = ActionCatalogue::new();
    for name in ["acme.op", "acme.volumeDelete", "acme.upsert"] {
        catalogue.add(name, EffectWord::ALL).unwrap();
    }
    catalogue
}

pub(crate) fn load(text: &str) -> Result<Pdp, Vec<PolicyProblem>> {
    Pdp::load(&[PolicySource { name: "t.cedar".into(), text: text.into() }], &catalogue())
}

/// The shipped policies.
pub(crate) fn pdp() -> &'static Pdp {
    static PDP: OnceLock<Pdp> = OnceLock::new();
    PDP.get_or_init(|| Pdp::load(&[PolicySource::shipped()], &catalogue()).unwrap())
}

pub(crate) fn environment(name: &str) -> EnvironmentName {
    EnvironmentName::parse(name).unwrap()
}

pub(crate) fn session(environment_name: &str) -> Principal {
    let id = SessionId::parse("s-1").unwrap();
    Principal {
        session: id.clone(),
        chain: vec![id],
        agent: AgentName::parse("tidy").unwrap(),
        groups: ["robots".to_owned()].into(),
        owner: Owner::parse("local:alice").unwrap(),
        environment: environment(environment_name),
        task: "tidy up".into(),
        scope: Scope::full(),
        expires: UnixMillis(u64::MAX),
        fence: false,
    }
}

pub(crate) fn object(kind: &str, id: &str) -> ObjectRef {
    ObjectRef {
        upstream: UpstreamName::parse("acme").unwrap(),
        kind: kind.into(),
        id: id.into(),
        within: None,
    }
}

pub(crate) fn facts(names: &[&str]) -> ObjectFacts {
    let found = names.iter().map(|name| environment(name));
    ObjectFacts {
        resolved: true,
        environment: Environment::named(found, |name| name.as_str() == "production"),
        name: Some("pg-data".into()),
        ..ObjectFacts::unresolved(object("volume", "v1"))
    }
}

/// A case in the making.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) principal: Principal,
    pub(crate) object: ObjectFacts,
    pub(crate) names: Vec<String>,
    pub(crate) operation: String,
    pub(crate) effect: Effect,
    pub(crate) irreversible: bool,
    pub(crate) backups: BackupsFate,
    pub(crate) means: Means,
    pub(crate) standing: Standing,
}

impl Asked {
    pub(crate) fn new(principal: Principal) -> Self {
        Self {
            principal,
            object: facts(&[]),
            names: Vec::new(),
            operation: "acme.op".into(),
            effect: Effect::READ,
            irreversible: false,
            backups: BackupsFate::Survive,
            means: Means::default(),
            standing: Standing::default(),
        }
    }

    pub(crate) fn on(mut self, name: &str) -> Self {
        self.names.push(name.into());
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        self.object.environment = facts(&names).environment;
        self
    }

    pub(crate) fn shared(mut self) -> Self {
        self.object.environment = Environment::declared(Tier::Shared);
        self
    }

    pub(crate) fn unconfirmed(mut self) -> Self {
        self.object.resolved = false;
        self
    }

    pub(crate) fn fenced(mut self) -> Self {
        self.principal.fence = true;
        self
    }

    pub(crate) fn reading_only(mut self) -> Self {
        self.principal.scope.effects = [ScopedEffect::Read].into();
        self
    }

    pub(crate) fn in_production(mut self) -> Self {
        self.standing.session_in_production = true;
        self
    }

    pub(crate) fn does(mut self, effect: Effect) -> Self {
        self.effect = effect;
        self
    }

    pub(crate) fn irreversible(mut self) -> Self {
        self.irreversible = true;
        self
    }

    pub(crate) fn created(mut self) -> Self {
        self.object.created_by_session = true;
        self
    }

    pub(crate) fn deferrable(mut self) -> Self {
        self.means.deferral = true;
        self
    }

    pub(crate) fn survivable_by_all(mut self) -> Self {
        self.means = Means { recovery_point: true, deferral: true };
        self
    }

    pub(crate) fn approved(self) -> Self {
        self.approval(Approved { by: vec!["local:alice".into()], quorum: 1 })
    }

    pub(crate) fn approval(mut self, approved: Approved) -> Self {
        self.standing.approved = Some(approved);
        self
    }

    pub(crate) fn after(mut self, way: Survivable) -> Self {
        self.standing.survived = Some(way);
        self
    }

    pub(crate) fn waived(mut self) -> Self {
        self.standing.production_waiver = true;
        self
    }

    pub(crate) fn glass_broken(mut self) -> Self {
        self.standing.break_glass = true;
        self
    }

    pub(crate) fn case(&self) -> Case<'_> {
        Case {
            principal: &self.principal,
            operation: &self.operation,
            effect: self.effect,
            irreversible: self.irreversible,
            backups: self.backups,
            object: &self.object,
            means: self.means,
            objects: 1,
            standing: &self.standing,
        }
    }

    pub(crate) fn landing(&self) -> Landing {
        pdp().climb(&self.case()).landing
    }
}

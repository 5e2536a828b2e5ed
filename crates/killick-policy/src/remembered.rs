//! Answers given before. A ladder depends on its case and the policies alone, and those never change under a
//! decision point, so an equal case has an equal ladder. Cases are equal byte for byte, not by a hash.

use std::collections::HashMap;
use std::sync::Arc;

use killick_model::principal::ScopedEffect;
use killick_model::{
    BackupsFate, Effect, Environment, Facet, Means, ObjectFacts, ObjectRef, Principal, RowsFact,
    Scope, Severity, Survivable, Tier,
};
use parking_lot::RwLock;

use crate::case::{Approved, Case, Standing};
use crate::ladder::Ladder;

/// Ladders that are kept. When it is full, it is emptied.
const LADDERS_MAX: usize = 4_096;
/// The longest case that is kept.
const KEY_BYTES_MAX: usize = 4_096;
// The worst case in memory: keys, with about as much again for the ladders.
const _: () = assert!(LADDERS_MAX * KEY_BYTES_MAX <= 16 << 20);

/// Ladders by case.
#[derive(Default)]
pub(crate) struct Remembered {
    ladders: RwLock<HashMap<Vec<u8>, Arc<Ladder>>>,
}

impl Remembered {
    /// Returns the ladder of a case, climbing it if need be.
    pub(crate) fn or_climb(&self, case: &Case<'_>, climb: impl FnOnce() -> Ladder) -> Arc<Ladder> {
        let key = key(case);
        if let Some(ladder) = self.ladders.read().get(&key) {
            return Arc::clone(ladder);
        }
        let ladder = Arc::new(climb());
        if key.len() <= KEY_BYTES_MAX {
            let mut ladders = self.ladders.write();
            if ladders.len() >= LADDERS_MAX {
                ladders.clear();
            }
            ladders.insert(key, Arc::clone(&ladder));
        }
        ladder
    }
}

/// Returns all that a ladder can depend on, so that two cases have the same bytes only if they are equal.
/// Types are taken apart in full: a field more does not compile until it is thought of here.
fn key(case: &Case<'_>) -> Vec<u8> {
    let Case {
        principal,
        operation,
        effect,
        irreversible,
        backups,
        object,
        means,
        objects,
        standing,
    } = *case;
    let mut key = Key(Vec::with_capacity(512));
    key.principal(principal);
    key.text(operation);
    key.effect(effect);
    key.flag(irreversible);
    key.number(match backups {
        BackupsFate::Survive => 0,
        BackupsFate::Unknown => 1,
        BackupsFate::Die => 2,
    });
    key.facts(object);
    let Means { recovery_point, deferral } = means;
    key.flag(recovery_point);
    key.flag(deferral);
    key.number(objects);
    key.standing(standing);
    key.0
}

/// Bytes in which every value carries its own end.
struct Key(Vec<u8>);

impl Key {
    fn number(&mut self, number: usize) {
        self.0.extend(number.to_le_bytes());
    }

    fn flag(&mut self, flag: bool) {
        self.0.push(u8::from(flag));
    }

    fn text(&mut self, text: &str) {
        self.number(text.len());
        self.0.extend(text.as_bytes());
    }

    fn texts<'a>(&mut self, texts: impl ExactSizeIterator<Item = &'a str>) {
        self.number(texts.len());
        for text in texts {
            self.text(text);
        }
    }

    fn principal(&mut self, principal: &Principal) {
        // Neither the task's text nor the end of the session are facts of a decision.
        let Principal {
            session,
            chain,
            agent,
            groups,
            owner,
            environment,
            task: _,
            scope,
            expires: _,
            fence,
        } = principal;
        self.text(session.as_str());
        self.number(chain.len());
        self.text(agent.as_str());
        self.texts(groups.iter().map(String::as_str));
        self.text(&owner.issuer);
        self.text(&owner.subject);
        self.text(environment.as_str());
        self.flag(*fence);
        let Scope { effects, upstreams, objects } = scope;
        for effect in effects {
            self.number(match effect {
                ScopedEffect::Read => 1,
                ScopedEffect::Write => 2,
                ScopedEffect::Destroy => 3,
                ScopedEffect::Administer => 4,
            });
        }
        self.number(0);
        self.flag(upstreams.is_some());
        if let Some(upstreams) = upstreams {
            self.texts(upstreams.iter().map(killick_model::UpstreamName::as_str));
        }
        self.flag(objects.is_some());
        if let Some(objects) = objects {
            self.texts(objects.iter().map(String::as_str));
        }
    }

    fn effect(&mut self, effect: Effect) {
        match effect {
            Effect::Unrecognized => self.number(0),
            Effect::Known { severity, facets } => {
                self.number(match severity {
                    Severity::Read => 1,
                    Severity::Write => 2,
                    Severity::Destroy => 3,
                });
                for facet in Facet::ALL {
                    self.flag(facets.has(facet));
                }
            }
        }
    }

    fn facts(&mut self, facts: &ObjectFacts) {
        // What an approval is bound to is compared where the approval is, not here.
        let ObjectFacts {
            object,
            resolved,
            environment,
            name,
            size_mb,
            dependants,
            backups,
            created_by_session,
            extra,
            material: _,
            rows,
        } = facts;
        self.object(object);
        self.flag(*resolved);
        self.environment(environment);
        self.flag(name.is_some());
        self.text(name.as_deref().unwrap_or_default());
        self.flag(size_mb.is_some());
        self.0.extend(size_mb.unwrap_or_default().to_le_bytes());
        self.number(dependants.len());
        self.number(backups.len());
        self.flag(*created_by_session);
        self.rows(rows.as_ref());
        self.number(extra.len());
        for (name, values) in extra {
            self.text(name);
            self.texts(values.iter().map(String::as_str));
        }
    }

    fn object(&mut self, object: &ObjectRef) {
        let mut next = Some(object);
        while let Some(ObjectRef { upstream, kind, id, within }) = next {
            self.flag(true);
            self.text(upstream.as_str());
            self.text(kind);
            self.text(id);
            next = within.as_deref();
        }
        self.flag(false);
    }

    fn environment(&mut self, environment: &Environment) {
        self.number(match environment.tier() {
            Tier::Development => 0,
            Tier::Shared => 1,
            Tier::Other => 2,
            Tier::Production => 3,
            Tier::Unknown => 4,
        });
        for name in environment.names() {
            self.text(name.as_str());
        }
        self.text("");
    }

    fn rows(&mut self, rows: Option<&RowsFact>) {
        self.flag(rows.is_some());
        let Some(RowsFact { count, measured, of, held_at_commit }) = rows else { return };
        self.0.extend(count.to_le_bytes());
        self.flag(*measured);
        self.flag(of.is_some());
        self.0.extend(of.unwrap_or_default().to_le_bytes());
        self.flag(*held_at_commit);
    }

    fn standing(&mut self, standing: &Standing) {
        let Standing {
            approved,
            survived,
            break_glass,
            production_waiver,
            session_in_production,
            damage_rows,
            damage_objects,
        } = standing;
        self.flag(approved.is_some());
        if let Some(Approved { by, quorum }) = approved {
            self.texts(by.iter().map(String::as_str));
            self.0.extend(quorum.to_le_bytes());
        }
        self.number(match survived {
            None => 0,
            Some(Survivable::RecoveryPoint) => 1,
            Some(Survivable::Deferred) => 2,
        });
        self.flag(*break_glass);
        self.flag(*production_waiver);
        self.flag(*session_in_production);
        self.0.extend(damage_rows.to_le_bytes());
        self.0.extend(damage_objects.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::because;
    use killick_model::{AgentName, EnvironmentName, Owner, SessionId, UnixMillis, UpstreamName};

    fn principal() -> Principal {
        let id = SessionId::parse("s-1").unwrap();
        Principal {
            session: id.clone(),
            chain: vec![id],
            agent: AgentName::parse("tidy").unwrap(),
            groups: ["ab".to_owned()].into(),
            owner: Owner::parse("local:alice").unwrap(),
            environment: EnvironmentName::parse("staging").unwrap(),
            task: String::new(),
            scope: Scope::full(),
            expires: UnixMillis(0),
            fence: false,
        }
    }

    fn facts() -> ObjectFacts {
        ObjectFacts::unresolved(ObjectRef {
            upstream: UpstreamName::parse("acme").unwrap(),
            kind: "volume".into(),
            id: "v1".into(),
            within: None,
        })
    }

    const ROWS: RowsFact = RowsFact { count: 1, measured: false, of: None, held_at_commit: false };

    type Change = fn(&mut Principal, &mut ObjectFacts, &mut Standing, &mut Means);

    const CHANGES: &[Change] = &[
        |_, _, _, _| {},
        |p, _, _, _| p.session = SessionId::parse("s-2").unwrap(),
        |p, _, _, _| p.chain.push(SessionId::parse("s-1").unwrap()),
        |p, _, _, _| p.agent = AgentName::parse("other").unwrap(),
        |p, _, _, _| p.groups = ["a".to_owned(), "b".into()].into(),
        |p, _, _, _| p.owner.subject = "bob".into(),
        |p, _, _, _| p.environment = EnvironmentName::parse("production").unwrap(),
        |p, _, _, _| p.fence = true,
        |p, _, _, _| p.scope.effects.clear(),
        |p, _, _, _| p.scope.upstreams = Some([].into()),
        |p, _, _, _| p.scope.objects = Some([].into()),
        |_, o, _, _| o.object.upstream = UpstreamName::parse("acm").unwrap(),
        |_, o, _, _| o.object.kind = "volumes".into(),
        |_, o, _, _| o.object.id = "v2".into(),
        |_, o, _, _| o.object.within = Some(Box::new(o.object.clone())),
        |_, o, _, _| o.resolved = true,
        |_, o, _, _| o.rows = Some(ROWS),
        |_, o, _, _| o.rows = Some(RowsFact { count: 2, ..ROWS }),
        |_, o, _, _| o.rows = Some(RowsFact { measured: true, ..ROWS }),
        |_, o, _, _| o.rows = Some(RowsFact { of: Some(0), ..ROWS }),
        |_, o, _, _| o.rows = Some(RowsFact { held_at_commit: true, ..ROWS }),
        |_, _, s, _| s.damage_rows = 1,
        |_, _, s, _| s.damage_objects = 1,
        |_, o, _, _| o.environment = Environment::declared(Tier::Shared),
        |_, o, _, _| {
            o.environment = Environment::named([EnvironmentName::parse("x").unwrap()], |_| false);
        },
        |_, o, _, _| {
            o.environment = Environment::named([EnvironmentName::parse("x").unwrap()], |_| true);
        },
        |_, o, _, _| o.name = Some(String::new()),
        |_, o, _, _| o.size_mb = Some(0),
        |_, o, _, _| o.dependants.push("a".into()),
        |_, o, _, _| o.backups.push("a".into()),
        |_, o, _, _| o.created_by_session = true,
        |_, o, _, _| drop(o.extra.insert("a".into(), vec!["b".into()])),
        |_, o, _, _| drop(o.extra.insert("a".into(), vec![])),
        |_, _, s, _| s.approved = Some(Approved { by: vec![], quorum: 1 }),
        |_, _, s, _| s.approved = Some(Approved { by: vec!["a".into()], quorum: 1 }),
        |_, _, s, _| s.approved = Some(Approved { by: vec![], quorum: 2 }),
        |_, _, s, _| s.survived = Some(Survivable::Deferred),
        |_, _, s, _| s.survived = Some(Survivable::RecoveryPoint),
        |_, _, s, _| s.break_glass = true,
        |_, _, s, _| s.production_waiver = true,
        |_, _, s, _| s.session_in_production = true,
        |_, _, _, m| m.recovery_point = true,
        |_, _, _, m| m.deferral = true,
    ];

    #[test]
    fn cases_that_differ_in_one_fact_have_keys_that_differ() {
        let mut seen = HashMap::new();
        for (at, change) in CHANGES.iter().enumerate() {
            let (mut principal, mut object) = (principal(), facts());
            let (mut standing, mut means) = (Standing::default(), Means::default());
            change(&mut principal, &mut object, &mut standing, &mut means);
            for effect in [Effect::READ, Effect::WRITE, Effect::READ.with(Facet::Reveals)] {
                for (irreversible, backups) in [
                    (false, BackupsFate::Survive),
                    (true, BackupsFate::Survive),
                    (true, BackupsFate::Die),
                ] {
                    let case = Case {
                        principal: &principal,
                        operation: "acme.op",
                        effect,
                        irreversible,
                        backups,
                        object: &object,
                        means,
                        objects: 1,
                        standing: &standing,
                    };
                    let before = seen.insert(key(&case), (at, effect, irreversible, backups));
                    assert_eq!(before, None, "{at} {effect:?} {irreversible} {backups:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (principal, standing) = (principal(), Standing::default());
        let remembered = Remembered::default();
        let mut object = facts();
        for at in 0..LADDERS_MAX.saturating_mul(2) {
            object.object.id = at.to_string();
            let case = Case {
                principal: &principal,
                operation: "acme.op",
                effect: Effect::READ,
                irreversible: false,
                backups: BackupsFate::Survive,
                object: &object,
                means: Means::default(),
                objects: 1,
                standing: &standing,
            };
            let _ = remembered.or_climb(&case, || because::failed(&case, ""));
            assert!(remembered.ladders.read().len() <= LADDERS_MAX);
        }
    }
}

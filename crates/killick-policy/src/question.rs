//! One case in Cedar's terms: entities, the three names of a request, and the context without the rung's facts.

use std::collections::{HashMap, HashSet};

use cedar_policy::{
    Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, RestrictedExpression,
};
use killick_model::{
    BackupsFate, Environment, EnvironmentName, Facet, ObjectFacts, ObjectRef, Principal,
    Survivable, Tier,
};

use crate::case::{Approved, Case};
use crate::catalogue::passes_for_another;

/// Objects that may stand around each other in one object's name.
const WITHIN_DEPTH_MAX: usize = 8;

/// Cedar's names of our types, parsed once.
#[derive(Clone, Debug)]
pub(crate) struct Vocabulary {
    session: EntityTypeName,
    agent: EntityTypeName,
    group: EntityTypeName,
    owner: EntityTypeName,
    upstream: EntityTypeName,
    object: EntityTypeName,
    action: EntityTypeName,
}

impl Vocabulary {
    /// Returns the names, or what is wrong with them.
    pub(crate) fn new() -> Result<Self, String> {
        let parse = |name: &str| {
            format!("Killick::{name}").parse::<EntityTypeName>().map_err(|e| e.to_string())
        };
        Ok(Self {
            session: parse("Session")?,
            agent: parse("Agent")?,
            group: parse("Group")?,
            owner: parse("Owner")?,
            upstream: parse("Upstream")?,
            object: parse("Object")?,
            action: parse("Action")?,
        })
    }

    /// Returns the name of an action's type.
    pub(crate) fn action_type(&self) -> &EntityTypeName {
        &self.action
    }

    fn object_uid(&self, object: &ObjectRef) -> Result<EntityUid, String> {
        if object.kind.contains(':') {
            return Err("the kind of an object holds a colon".into());
        }
        let id = format!("{}/{}:{}", object.upstream, object.kind, object.id);
        Ok(uid(&self.object, &id))
    }
}

fn uid(kind: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id))
}

/// A case, ready to be asked on any rung.
pub(crate) struct Question {
    pub(crate) principal: EntityUid,
    pub(crate) action: EntityUid,
    pub(crate) resource: EntityUid,
    /// Everything that `principal`, `action` and `resource` are in, themselves included.
    pub(crate) principal_in: Vec<EntityUid>,
    pub(crate) action_in: Vec<EntityUid>,
    pub(crate) resource_in: Vec<EntityUid>,
    pub(crate) entities: Entities,
    base: Context,
}

impl Question {
    /// Puts a case into Cedar's terms.
    pub(crate) fn new(words: &Vocabulary, case: &Case<'_>) -> Result<Self, String> {
        if case.operation.is_empty() || passes_for_another(case.operation) {
            return Err("the operation has no name of its own".into());
        }
        let (session, agent) = principal(words, case.principal)?;
        let (object, resource_in) = resource(words, case.object)?;
        let action = uid(&words.action, case.operation);
        let effect = uid(&words.action, case.effect.word().as_str());
        let operation = Entity::new_no_attrs(action.clone(), HashSet::from([effect.clone()]));
        let mut principal_in = vec![session.uid(), agent.uid()];
        principal_in.extend(agent_parents(words, case.principal));
        let (principal, resource) = (session.uid(), object.uid());
        let entities = Entities::from_entities([session, agent, object, operation], None)
            .map_err(|e| e.to_string())?;
        Ok(Self {
            principal,
            action_in: vec![action.clone(), effect],
            action,
            resource,
            principal_in,
            resource_in,
            entities,
            base: Context::from_pairs(facts(case)).map_err(|e| e.to_string())?,
        })
    }

    /// Returns the context of a rung.
    pub(crate) fn context(
        &self,
        survivable: Option<Survivable>,
        approved: Option<&Approved>,
    ) -> Result<Context, String> {
        if survivable.is_none() && approved.is_none() {
            return Ok(self.base.clone());
        }
        let survivable = survivable.map(|way| ("survivable".to_owned(), text(way.as_str())));
        let approved = match approved {
            Some(approved) => {
                let by = approved.by.iter().map(|who| text(who));
                let record = RestrictedExpression::new_record([
                    ("by".to_owned(), RestrictedExpression::new_set(by)),
                    ("quorum".to_owned(), RestrictedExpression::new_long(approved.quorum.into())),
                ])
                .map_err(|e| e.to_string())?;
                Some(("approved".to_owned(), record))
            }
            None => None,
        };
        self.base.clone().merge(survivable.into_iter().chain(approved)).map_err(|e| e.to_string())
    }
}

fn principal(words: &Vocabulary, who: &Principal) -> Result<(Entity, Entity), String> {
    let agent = uid(&words.agent, who.agent.as_str());
    let attributes = HashMap::from([
        ("agent".to_owned(), text(who.agent.as_str())),
        ("owner".to_owned(), text(&who.owner.to_string())),
        ("environment".to_owned(), text(who.environment.as_str())),
        ("depth".to_owned(), count(who.chain.len())),
    ]);
    let session = uid(&words.session, who.session.as_str());
    let session = Entity::new(session, attributes, HashSet::from([agent.clone()]))
        .map_err(|e| e.to_string())?;
    Ok((session, Entity::new_no_attrs(agent, agent_parents(words, who).collect())))
}

fn agent_parents(words: &Vocabulary, who: &Principal) -> impl Iterator<Item = EntityUid> {
    let owner = uid(&words.owner, &who.owner.to_string());
    who.groups.iter().map(|group| uid(&words.group, group)).chain([owner])
}

/// Returns the object and everything that it is in, itself first.
fn resource(words: &Vocabulary, facts: &ObjectFacts) -> Result<(Entity, Vec<EntityUid>), String> {
    let object = &facts.object;
    let mut all = Vec::new();
    let mut next = Some(object);
    while let Some(place) = next {
        if all.len() >= WITHIN_DEPTH_MAX.saturating_mul(2) {
            return Err(format!("an object stands in more than {WITHIN_DEPTH_MAX} others"));
        }
        all.push(words.object_uid(place)?);
        all.push(uid(&words.upstream, place.upstream.as_str()));
        next = place.within.as_deref();
    }
    let uid = words.object_uid(object)?;
    let mut attributes = vec![
        ("upstream".to_owned(), text(object.upstream.as_str())),
        ("kind".to_owned(), text(&object.kind)),
        ("id".to_owned(), text(&object.id)),
        ("named".to_owned(), RestrictedExpression::new_bool(object.is_named())),
        ("resolved".to_owned(), RestrictedExpression::new_bool(facts.resolved)),
    ];
    attributes.extend(facts.name.as_ref().map(|name| ("name".to_owned(), text(name))));
    let tags = facts.extra.iter().map(|(name, values)| {
        (name.clone(), RestrictedExpression::new_set(values.iter().map(|value| text(value))))
    });
    let parents = all.iter().filter(|it| **it != uid).cloned().collect::<HashSet<_>>();
    let entity =
        Entity::new_with_tags(uid, attributes, parents, tags).map_err(|e| e.to_string())?;
    Ok((entity, all))
}

/// What is believed about where an object lives.
pub(crate) struct Place<'a> {
    environment: &'a Environment,
    known: bool,
}

impl<'a> Place<'a> {
    /// Returns what the facts allow to believe. What was found about an object that nobody confirmed is not
    /// believed, and neither is a tier of its own without a name; only a human's declaration needs no object.
    pub(crate) fn of(facts: &'a ObjectFacts) -> Self {
        let environment = &facts.environment;
        let known = match environment.tier() {
            Tier::Development | Tier::Shared => true,
            Tier::Other | Tier::Production => {
                facts.resolved && environment.names().next().is_some()
            }
            Tier::Unknown => false,
        };
        Self { environment, known }
    }

    /// Returns whether anybody knows.
    pub(crate) fn is_known(&self) -> bool {
        self.known
    }

    /// Returns whether it counts as production.
    pub(crate) fn counts_as_production(&self) -> bool {
        !self.known || self.environment.counts_as_production()
    }

    /// Returns whether it lies wholly in the environment of a session.
    pub(crate) fn is_of_session(&self, session: &EnvironmentName) -> bool {
        self.known && self.environment.is_of_session(session)
    }

    /// Returns the word for the tier.
    pub(crate) fn tier(&self) -> &'static str {
        if !self.known {
            return "production";
        }
        match self.environment.tier() {
            Tier::Development => "development",
            Tier::Shared => "shared",
            Tier::Other => "other",
            Tier::Production | Tier::Unknown => "production",
        }
    }

    /// Returns the name for policies. Parentheses stand in no environment's name, so that none can be
    /// called like what a human declared.
    pub(crate) fn label(&self) -> String {
        if !self.known {
            return "(unknown)".into();
        }
        match self.environment.tier() {
            Tier::Development => "(development)".into(),
            Tier::Shared => "(shared)".into(),
            Tier::Other | Tier::Production => self.environment.to_string(),
            Tier::Unknown => "(unknown)".into(),
        }
    }
}

/// Returns the context without the facts of a rung.
fn facts(case: &Case<'_>) -> Vec<(String, RestrictedExpression)> {
    let Case { principal, effect, object, standing, .. } = *case;
    let place = Place::of(object);
    let session = &principal.environment;
    let flags = [
        ("environmentKnown", place.is_known()),
        ("countsAsProduction", place.counts_as_production()),
        ("sessionInProduction", standing.session_in_production),
        ("sameEnvironment", place.is_of_session(session)),
        ("irreversible", case.irreversible),
        ("administers", effect.has(Facet::Administers)),
        ("reveals", effect.has(Facet::Reveals)),
        ("outward", effect.has(Facet::Outward)),
        ("unbounded", effect.has(Facet::Unbounded)),
        ("deferred", effect.has(Facet::Deferred)),
        ("createdBySession", object.created_by_session),
        ("backupsGoWithIt", backups_go(case.backups)),
        ("fence", principal.fence),
        ("productionWaiver", standing.production_waiver),
        ("breakGlass", standing.break_glass),
        ("rowsMeasured", object.rows.is_some_and(|rows| rows.measured)),
        ("heldAtCommit", object.rows.is_some_and(|rows| rows.held_at_commit)),
    ];
    let numbers = [
        ("dependants", object.dependants.len()),
        ("backups", object.backups.len()),
        ("objects", case.objects),
    ];
    let words = [
        ("environment", place.label()),
        ("tier", place.tier().to_owned()),
        ("sessionEnvironment", session.as_str().to_owned()),
    ];
    let amounts = [
        ("sizeMb", object.size_mb),
        ("rows", object.rows.map(|rows| rows.count)),
        ("rowsOfTable", object.rows.and_then(|rows| rows.of)),
        ("damageRows", Some(standing.damage_rows)),
        ("damageObjects", Some(standing.damage_objects)),
    ];
    let amounts = amounts.into_iter().filter_map(|(name, number)| Some((name, amount(number?))));
    flags
        .into_iter()
        .map(|(name, flag)| (name, RestrictedExpression::new_bool(flag)))
        .chain(numbers.into_iter().map(|(name, number)| (name, count(number))))
        .chain(words.into_iter().map(|(name, word)| (name, RestrictedExpression::new_string(word))))
        .chain(amounts)
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

fn backups_go(fate: BackupsFate) -> bool {
    match fate {
        BackupsFate::Survive => false,
        BackupsFate::Unknown | BackupsFate::Die => true,
    }
}

fn text(value: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(value.to_owned())
}

fn amount(number: u64) -> RestrictedExpression {
    RestrictedExpression::new_long(i64::try_from(number).unwrap_or(i64::MAX))
}

fn count(number: usize) -> RestrictedExpression {
    RestrictedExpression::new_long(i64::try_from(number).unwrap_or(i64::MAX))
}

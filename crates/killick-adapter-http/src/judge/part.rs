//! From an operation of a pack and its arguments to one part of an action.

use killick_model::{BackupsFate, Effect, ObjectRef, Part, Recovery, UpstreamName};

use super::argument::Arg;
use crate::pack::{ObjectRule, Operation, When};

/// The kind of object that an operation without objects acts on.
pub(crate) const ACCOUNT: &str = "account";

/// Returns the account as an object: named by nobody, so its environment is unknown.
pub(crate) fn account(upstream: &UpstreamName) -> ObjectRef {
    ObjectRef { upstream: upstream.clone(), kind: ACCOUNT.into(), id: String::new(), within: None }
}

/// One operation, judged with its arguments.
pub(crate) struct JudgedPart {
    /// What it would do.
    pub(crate) part: Part,
    /// Where secrets stand in its answer.
    pub(crate) answer_secrets: Vec<String>,
}

/// Judges one operation with its arguments.
pub(crate) fn part(
    operation: &Operation,
    name: String,
    upstream: &UpstreamName,
    arguments: &Arg,
) -> JudgedPart {
    let mut part = Part {
        operation: name,
        effect: operation.effect,
        irreversible: operation.irreversible,
        backups: operation.backups,
        objects: Vec::new(),
        recovery: operation.recovery.clone(),
        why: operation.why.clone(),
    };
    let mut rules: Vec<&ObjectRule> = operation.objects.iter().collect();
    let mut answer_secrets = operation.answer_secrets.clone();
    for when in operation.whens.iter().filter(|when| arguments.fits(&when.arg, &when.condition)) {
        worsen(&mut part, when);
        rules.extend(&when.objects);
        answer_secrets.extend(when.answer_secrets.iter().cloned());
    }
    part.irreversible |= part.effect == Effect::Unrecognized;
    part.objects = objects(&rules, upstream, arguments);
    JudgedPart { part, answer_secrets }
}

fn worsen(part: &mut Part, when: &When) {
    if let Some(worse) = when.effect {
        part.effect = part.effect.join(worse);
    }
    part.effect = when.facets.iter().fold(part.effect, |effect, facet| effect.with(*facet));
    part.irreversible |= when.irreversible;
    part.backups = part.backups.max(when.backups.unwrap_or(BackupsFate::Survive));
    part.recovery = both(&part.recovery, &when.recovery);
    if !when.why.is_empty() {
        if !part.why.is_empty() {
            part.why.push_str("; ");
        }
        part.why.push_str(&when.why);
    }
}

// The longer deferral; a point only where each that has a recovery names it.
fn both(one: &Recovery, other: &Recovery) -> Recovery {
    let none = Recovery::default();
    if *other == none {
        return one.clone();
    }
    if *one == none {
        return other.clone();
    }
    Recovery {
        defer_millis: one.defer_millis.max(other.defer_millis),
        point: one.point.clone().filter(|point| other.point.as_ref() == Some(point)),
    }
}

fn objects(rules: &[&ObjectRule], upstream: &UpstreamName, arguments: &Arg) -> Vec<ObjectRef> {
    let mut found: Vec<ObjectRef> = Vec::new();
    for rule in rules {
        let within =
            rule.within.as_ref().map(|rule| Box::new(narrowing(rule, upstream, arguments)));
        for id in ids(rule, arguments) {
            let object = ObjectRef {
                upstream: upstream.clone(),
                kind: rule.kind.clone(),
                id,
                within: within.clone(),
            };
            if !found.contains(&object) {
                found.push(object);
            }
        }
    }
    if found.is_empty() {
        found.push(account(upstream));
    }
    found
}

// One object narrows. Several, or none, and nobody can say which.
fn narrowing(rule: &ObjectRule, upstream: &UpstreamName, arguments: &Arg) -> ObjectRef {
    let mut ids = ids(rule, arguments);
    let id = if ids.len() == 1 { ids.pop().unwrap_or_default() } else { String::new() };
    ObjectRef { upstream: upstream.clone(), kind: rule.kind.clone(), id, within: None }
}

// An empty id stands for an object that the call does not name.
fn ids(rule: &ObjectRule, arguments: &Arg) -> Vec<String> {
    let mut found = Vec::new();
    for arg in arguments.values(&rule.arg) {
        collect(&arg, &mut found);
    }
    if found.is_empty() {
        found.push(String::new());
    }
    found
}

fn collect(arg: &Arg, found: &mut Vec<String>) {
    match arg {
        Arg::Scalar(text) if text.len() <= ObjectRef::ID_BYTES_MAX => found.push(text.clone()),
        Arg::List(items) => items.iter().for_each(|item| collect(item, found)),
        Arg::Scalar(_) | Arg::Unknown | Arg::Null | Arg::Bool(_) | Arg::Object(_) => {
            found.push(String::new());
        }
    }
}

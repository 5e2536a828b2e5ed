//! The search for one object: the first read, then a further read for each value of a fact.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use killick_model::ObjectRef;
use serde_json::Value;
use serde_json_path::JsonPath;

use super::VALUES_PER_FACT_MAX;
use crate::judge::CanonicalRequest;
use crate::pack::{Lookup, Pack, Resolver};

#[derive(Debug)]
enum State {
    First,
    Then(VecDeque<(usize, String)>),
    Found,
    Failed,
    /// The kind has no resolver.
    Nothing,
}

#[derive(Debug)]
pub(super) struct Search {
    kind: String,
    id: String,
    outer: String,
    state: State,
    facts: BTreeMap<String, Vec<String>>,
}

impl Search {
    pub(super) fn of(pack: &Pack, object: &ObjectRef, outer: Option<&str>) -> Self {
        let state = match (resolver_of(pack, &object.kind).is_some(), object.is_named()) {
            (false, _) => State::Nothing,
            (true, false) => State::Failed,
            (true, true) => State::First,
        };
        Self {
            kind: object.kind.clone(),
            id: object.id.clone(),
            outer: outer.unwrap_or_default().to_owned(),
            state,
            facts: BTreeMap::new(),
        }
    }

    pub(super) fn is_done(&self) -> bool {
        matches!(self.state, State::Found | State::Failed | State::Nothing)
    }

    pub(super) fn is_found(&self) -> bool {
        matches!(self.state, State::Found)
    }

    pub(super) fn has_resolver(&self) -> bool {
        !matches!(self.state, State::Nothing)
    }

    pub(super) fn fail(&mut self) {
        self.state = State::Failed;
    }

    /// Returns the names of environments found, `None` when there is none.
    pub(super) fn names(&self) -> Option<Vec<String>> {
        self.facts.get("environment").filter(|names| !names.is_empty()).cloned()
    }

    pub(super) fn into_facts(self) -> BTreeMap<String, Vec<String>> {
        self.facts
    }

    pub(super) fn next(&self, pack: &Pack) -> Option<CanonicalRequest> {
        let resolver = resolver_of(pack, &self.kind)?;
        match &self.state {
            State::First => {
                ask(pack, &resolver.lookup, &[("{id}", &self.id), ("{in}", &self.outer)])
            }
            State::Then(queue) => {
                let (at, value) = queue.front()?;
                let further = resolver.then.get(*at)?;
                ask(
                    pack,
                    &further.lookup,
                    &[("{value}", value), ("{id}", &self.id), ("{in}", &self.outer)],
                )
            }
            State::Found | State::Failed | State::Nothing => None,
        }
    }

    pub(super) fn answer(&mut self, pack: &Pack, status: u16, body: &Value) {
        let Some(resolver) = resolver_of(pack, &self.kind) else { return self.fail() };
        if status != 200 || has_errors(body) {
            return self.fail();
        }
        match std::mem::replace(&mut self.state, State::Failed) {
            State::First => self.take_node(resolver, body),
            State::Then(mut queue) => {
                let Some((at, _)) = queue.pop_front() else { return };
                let Some(further) = resolver.then.get(at) else { return };
                self.take_facts(&further.facts, body);
                // What follows may ask for values that came only now.
                let last_of_its_kind = queue.front().is_none_or(|(next, _)| *next != at);
                if last_of_its_kind {
                    queue = self.queue_from(resolver, at.saturating_add(1));
                }
                self.state = if queue.is_empty() { State::Found } else { State::Then(queue) };
            }
            State::Found | State::Failed | State::Nothing => {}
        }
    }

    fn take_node(&mut self, resolver: &Resolver, body: &Value) {
        let mut candidates = resolver.node.query(body).all();
        if let Some(key) = &resolver.key {
            candidates.retain(|node| node.get(key).and_then(Value::as_str) == Some(&self.id));
        }
        // None is not found; several could be anything.
        let [node] = candidates.as_slice() else { return };
        if node.is_null() {
            return;
        }
        self.take_facts(&resolver.facts, node);
        let queue = self.queue_from(resolver, 0);
        self.state = if queue.is_empty() { State::Found } else { State::Then(queue) };
    }

    /// Returns the reads of the first `then` from `at` on that has values to ask for.
    fn queue_from(&self, resolver: &Resolver, at: usize) -> VecDeque<(usize, String)> {
        for (index, further) in resolver.then.iter().enumerate().skip(at) {
            let values = self.facts.get(&further.for_each).map_or(&[][..], Vec::as_slice);
            if !values.is_empty() {
                return values.iter().map(|value| (index, value.clone())).collect();
            }
        }
        VecDeque::new()
    }

    fn take_facts(&mut self, facts: &BTreeMap<String, JsonPath>, from: &Value) {
        for (name, path) in facts {
            let values = self.facts.entry(name.clone()).or_default();
            for value in path.query(from).all() {
                collect(value, values);
            }
        }
    }
}

fn collect(value: &Value, into: &mut Vec<String>) {
    if into.len() >= VALUES_PER_FACT_MAX {
        return;
    }
    match value {
        Value::Null | Value::Object(_) => {}
        Value::String(text) => into.push(text.clone()),
        Value::Bool(_) | Value::Number(_) => into.push(value.to_string()),
        Value::Array(all) => all.iter().for_each(|one| collect(one, into)),
    }
}

pub(super) fn has_errors(body: &Value) -> bool {
    match body.get("errors") {
        None | Some(Value::Null) => false,
        Some(Value::Array(errors)) => !errors.is_empty(),
        Some(_) => true,
    }
}

/// Builds the request of one read or call; values are passed as variables and never pasted into the document.
pub(super) fn ask(
    pack: &Pack,
    lookup: &Lookup,
    values: &[(&str, &String)],
) -> Option<CanonicalRequest> {
    let variables: serde_json::Map<String, Value> = lookup
        .variables
        .iter()
        .map(|(name, template)| (name.clone(), Value::String(fill(template, values))))
        .collect();
    document(pack, &lookup.query, &variables)
}

pub(super) fn document(
    pack: &Pack,
    query: &str,
    variables: &serde_json::Map<String, Value>,
) -> Option<CanonicalRequest> {
    let api = pack.graphql.as_ref()?;
    let path = api.paths.iter().find(|path| !path.contains('*'))?;
    let body = serde_json::json!({ "query": query, "variables": variables });
    Some(CanonicalRequest {
        method: "POST".into(),
        path_and_query: path.clone(),
        headers: vec![
            ("content-type".into(), "application/json".into()),
            ("accept".into(), "application/json".into()),
        ],
        body: Bytes::from(body.to_string()),
    })
}

/// Fills a template in one pass, so that a value that looks like a placeholder stays a value.
pub(super) fn fill(template: &str, values: &[(&str, &String)]) -> String {
    let mut out = String::new();
    let mut rest = template;
    'next: while !rest.is_empty() {
        for (placeholder, value) in values {
            if let Some(after) = rest.strip_prefix(placeholder) {
                out.push_str(value);
                rest = after;
                continue 'next;
            }
        }
        let mut chars = rest.chars();
        if let Some(first) = chars.next() {
            out.push(first);
        }
        rest = chars.as_str();
    }
    out
}

pub(super) fn resolver_of<'a>(pack: &'a Pack, kind: &str) -> Option<&'a Resolver> {
    pack.resolvers.get(kind).and_then(Option::as_ref)
}

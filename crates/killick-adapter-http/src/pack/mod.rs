//! What a provider's API means: data, read from a folder, checked as a whole before any of it counts.

mod check;
mod drift;
mod load;
mod operation;
mod operations_file;
mod resolvers_file;
pub mod source;
mod toml_at;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use apollo_compiler::Schema;
use apollo_compiler::validation::Valid;
use killick_model::admin::Injection;
use killick_model::{EffectWord, EnvironmentName};
use serde_json_path::JsonPath;

use crate::credential::Positions;
pub(crate) use check::operation_type;
pub use drift::{Drift, INTROSPECTION, drift};
pub use load::{PACK_FILE_BYTES_MAX, load};
pub use operation::{
    ArgPath, ArgRef, ArgStep, Condition, CreatesRule, ObjectRule, Operation, RestPattern,
    RestSegment, TemplatePiece, When,
};

/// The version of the pack format that this gateway reads.
pub const SCHEMA_VERSION: u32 = 1;

/// One mistake in a pack.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Problem {
    /// The file in the pack's folder.
    pub file: String,
    /// The line, from 1; 0 when it is about the whole file.
    pub line: usize,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}; {}", self.file, self.line, self.message, self.help)
    }
}

/// Which of the three GraphQL root types an operation is a field of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Root {
    /// `query`.
    Query,
    /// `mutation`.
    Mutation,
    /// `subscription`.
    Subscription,
}

impl Root {
    /// Every root, with the word that packs and documents use.
    pub const ALL: [(Self, &'static str); 3] = [
        (Self::Query, "query"),
        (Self::Mutation, "mutation"),
        (Self::Subscription, "subscription"),
    ];

    /// Returns the word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Mutation => "mutation",
            Self::Subscription => "subscription",
        }
    }
}

/// Hosts that answer for the same API with the same credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostSet {
    /// Exact names, or `*.` and a suffix for one label more.
    pub hosts: Vec<String>,
    /// The port.
    pub port: u16,
}

impl HostSet {
    /// Returns whether the lower-case host and the port are in the set.
    #[must_use]
    pub fn matches(&self, host: &str, port: u16) -> bool {
        self.port == port
            && self.hosts.iter().any(|pattern| match pattern.strip_prefix("*.") {
                None => pattern == host,
                Some(suffix) => host
                    .strip_suffix(suffix)
                    .and_then(|rest| rest.strip_suffix('.'))
                    .is_some_and(|label| !label.is_empty() && !label.contains('.')),
            })
    }
}

/// The GraphQL side of a provider.
#[derive(Clone)]
pub struct GraphqlApi {
    /// Exact request paths; `*` stands for exactly one segment.
    pub paths: Vec<String>,
    /// The provider's schema.
    pub schema: Option<Arc<Valid<Schema>>>,
    /// Field coordinates (`Environment.config`) whose answer holds secrets; `*` is any type.
    pub reveals: BTreeSet<(String, String)>,
}

impl GraphqlApi {
    /// Returns whether it answers at a request path.
    #[must_use]
    pub fn answers_at(&self, path: &str) -> bool {
        self.paths.iter().any(|known| {
            let mut given = path.split('/');
            known.split('/').all(|wanted| {
                given.next().is_some_and(|segment| {
                    wanted == segment || (wanted == "*" && !segment.is_empty())
                })
            }) && given.next().is_none()
        })
    }
}

impl fmt::Debug for GraphqlApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GraphqlApi")
            .field("paths", &self.paths)
            .field("schema", &self.schema.is_some())
            .finish_non_exhaustive()
    }
}

/// Where the description of an API comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provenance {
    /// Its source in words.
    pub source: String,
    /// The license of the source.
    pub license: String,
    /// The day it was retrieved.
    pub retrieved: String,
}

/// A read of a resolver, with what its answer tells.
#[derive(Clone, Debug)]
pub struct Lookup {
    /// The document.
    pub query: String,
    /// Variables: `{id}`, `{value}`, `{point}` stand for values, all else for itself.
    pub variables: BTreeMap<String, String>,
}

/// A further read for each value of an earlier fact.
#[derive(Clone, Debug)]
pub struct Further {
    /// The fact whose values are asked for one by one.
    pub for_each: String,
    /// The read.
    pub lookup: Lookup,
    /// Facts from its answer.
    pub facts: BTreeMap<String, JsonPath>,
}

/// How an object of one kind is looked up.
#[derive(Clone, Debug)]
pub struct Resolver {
    /// The first read.
    pub lookup: Lookup,
    /// Where the candidates stand.
    pub node: JsonPath,
    /// The key whose value is the object's id.
    pub key: Option<String>,
    /// Facts from the candidate that remains.
    pub facts: BTreeMap<String, JsonPath>,
    /// Further reads.
    pub then: Vec<Further>,
    /// Facts that an approval is bound to, with their tolerance in percent.
    pub material: BTreeMap<String, u8>,
}

impl Resolver {
    /// Returns whether any of its reads tells an environment.
    #[must_use]
    pub fn tells_environment(&self) -> bool {
        self.facts.contains_key("environment")
            || self.then.iter().any(|further| further.facts.contains_key("environment"))
    }
}

/// A provider call that makes a recovery point.
#[derive(Clone, Debug)]
pub struct Point {
    /// The mutation that makes it.
    pub make: Lookup,
    /// The fact of the object for whose values it is made.
    pub for_each: String,
    /// The read that lists points.
    pub list: String,
    /// Where their ids stand.
    pub found: JsonPath,
    /// The mutation that keeps the provider from removing it.
    pub lock: Option<String>,
    /// The kind of object that takes the point with it when its backups die.
    pub lives_on: String,
}

/// A provider's pack, checked.
#[derive(Clone, Debug)]
pub struct Pack {
    /// Its name, the same as its folder's.
    pub name: String,
    /// Its name for people.
    pub title: String,
    /// Where it comes from.
    pub provenance: Provenance,
    /// Where the provider answers.
    pub upstreams: Vec<HostSet>,
    /// Its GraphQL side.
    pub graphql: Option<GraphqlApi>,
    /// Where its credentials stand.
    pub positions: Positions,
    /// How a credential is put into a call.
    pub injection: Injection,
    /// The shape of surrogates, as written.
    pub surrogate: String,
    /// Environment variables in which the provider's clients look for a credential.
    pub variables: Vec<String>,
    /// Names of environments that are production, lower case.
    pub production: BTreeSet<String>,
    /// What each GraphQL root field does.
    pub operations: BTreeMap<(Root, String), Operation>,
    /// What each REST operation does.
    pub rest: Vec<(RestPattern, Operation)>,
    /// How objects are looked up, by kind; `None` for a kind that the provider does not tell about.
    pub resolvers: BTreeMap<String, Option<Resolver>>,
    /// How recovery points are made, by name.
    pub points: BTreeMap<String, Point>,
}

impl Pack {
    /// Returns every operation as policies name it, with the effects that it may have.
    #[must_use]
    pub fn catalogue(&self) -> Vec<(String, Vec<EffectWord>)> {
        let named = |name: &str| format!("{}.{name}", self.name);
        let typed = self.operations.iter().map(|((_, name), operation)| (named(name), operation));
        let rest = self.rest.iter().map(|(pattern, operation)| (named(&pattern.text), operation));
        typed
            .chain(rest)
            .map(|(name, operation)| {
                let worse = operation.whens.iter().filter_map(|when| when.effect);
                let effects: Vec<EffectWord> = worse
                    .map(|effect| operation.effect.join(effect).word())
                    .chain([operation.effect.word()])
                    .collect();
                (name, EffectWord::ALL.into_iter().filter(|word| effects.contains(word)).collect())
            })
            .collect()
    }

    /// Returns whether an environment of this name is production.
    #[must_use]
    pub fn is_production(&self, name: &EnvironmentName) -> bool {
        self.production.contains(&name.as_str().to_ascii_lowercase())
    }

    /// Returns whether the provider answers at this host and port.
    #[must_use]
    pub fn answers_at(&self, host: &str, port: u16) -> bool {
        self.upstreams.iter().any(|set| set.matches(host, port))
    }

    /// Returns whether a request path speaks GraphQL.
    #[must_use]
    pub fn is_graphql_path(&self, path: &str) -> bool {
        self.graphql.as_ref().is_some_and(|api| api.answers_at(path))
    }
}

/// Every pack that the gateway knows, by name.
#[derive(Clone, Debug, Default)]
pub struct PackSet {
    packs: BTreeMap<String, Arc<Pack>>,
}

impl PackSet {
    /// Makes a set.
    #[must_use]
    pub fn new(packs: impl IntoIterator<Item = Pack>) -> Self {
        Self { packs: packs.into_iter().map(|pack| (pack.name.clone(), Arc::new(pack))).collect() }
    }

    /// Returns a pack by name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<Pack>> {
        self.packs.get(name)
    }

    /// Returns the pack whose provider answers at this host and port.
    #[must_use]
    pub fn for_host(&self, host: &str, port: u16) -> Option<&Arc<Pack>> {
        self.packs.values().find(|pack| pack.answers_at(host, port))
    }

    /// Returns every pack.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Pack>> {
        self.packs.values()
    }
}

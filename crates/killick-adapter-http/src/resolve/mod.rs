//! What an object is, asked at the provider: sans-IO, the driver sends the errands.

mod lookup;
mod point;

use std::collections::BTreeMap;
use std::sync::Arc;

use killick_model::admin::Upstream;
use killick_model::object::MaterialFact;
use killick_model::{Environment, EnvironmentName, ObjectFacts, ObjectRef};
use sha2::Digest as _;

use crate::judge::CanonicalRequest;
use crate::pack::Pack;
use lookup::{Search, resolver_of};
pub use point::{PointStep, PointTaking};

/// The most errands for one object.
pub const ERRANDS_PER_OBJECT_MAX: usize = 16;

/// The most values of one fact that are kept.
pub const VALUES_PER_FACT_MAX: usize = 1_000;

/// The lookup of one object: ask [`next`](Self::next), send, [`answer`](Self::answer), until there is
/// nothing more to ask; then [`finish`](Self::finish).
#[derive(Debug)]
pub struct Resolution {
    pack: Arc<Pack>,
    object: ObjectRef,
    own: Search,
    within: Option<Search>,
    asked: usize,
}

impl Resolution {
    /// Starts the lookup.
    #[must_use]
    pub fn start(pack: &Arc<Pack>, _upstream: &Upstream, object: &ObjectRef) -> Self {
        let outer = object.within.as_deref();
        Self {
            pack: Arc::clone(pack),
            object: object.clone(),
            own: Search::of(pack, object, outer.map(|within| within.id.as_str())),
            within: outer.map(|within| {
                let above = within.within.as_deref().map(|it| it.id.as_str());
                Search::of(pack, within, above)
            }),
            asked: 0,
        }
    }

    /// Returns the errand to send now; a read.
    #[must_use]
    pub fn next(&self) -> Option<CanonicalRequest> {
        if self.asked >= ERRANDS_PER_OBJECT_MAX {
            return None;
        }
        let search = self.current()?;
        search.next(&self.pack)
    }

    /// Takes the answer to the errand.
    pub fn answer(&mut self, status: u16, body: &serde_json::Value) {
        self.asked = self.asked.saturating_add(1);
        let pack = Arc::clone(&self.pack);
        if let Some(search) = self.current_mut() {
            search.answer(&pack, status, body);
        }
    }

    /// Tells that the errand could not be sent or answered.
    pub fn failed(&mut self) {
        self.asked = self.asked.saturating_add(1);
        if let Some(search) = self.current_mut() {
            search.fail();
        }
    }

    fn current(&self) -> Option<&Search> {
        if self.own.is_done() {
            self.within.as_ref().filter(|search| !search.is_done())
        } else {
            Some(&self.own)
        }
    }

    fn current_mut(&mut self) -> Option<&mut Search> {
        if self.own.is_done() {
            self.within.as_mut().filter(|search| !search.is_done())
        } else {
            Some(&mut self.own)
        }
    }

    /// Returns what was found. What is missing is unknown.
    #[must_use]
    pub fn finish(self) -> ObjectFacts {
        let mut found = ObjectFacts::unresolved(self.object);
        let finished = self.own.is_done() && self.within.as_ref().is_none_or(Search::is_done);
        if !finished {
            return found;
        }
        let within_names = match &self.within {
            None => None,
            Some(search) if search.is_found() => search.names(),
            // What narrows the call was not found, so nothing is known of where it lies.
            Some(_) => return found,
        };
        if self.own.has_resolver() && !self.own.is_found() {
            return found;
        }
        if !self.own.has_resolver() && self.within.is_none() {
            return found;
        }
        let names = match (self.own.names(), within_names, self.within.is_some()) {
            (own, Some(within), true) => {
                own.is_none_or(|own| within.iter().all(|name| own.contains(name))).then_some(within)
            }
            (_, None, true) => None,
            (own, _, false) => own,
        };
        found.resolved = true;
        if let Some(names) = names {
            found.environment = environment(&self.pack, &names);
        }
        let facts = self.own.into_facts();
        found.material = material(&self.pack, &found.object.kind, &facts);
        lay_out(&mut found, facts);
        found
    }
}

/// Returns the request of a pack's own document without variables.
#[must_use]
pub fn document(pack: &Pack, text: &str) -> Option<CanonicalRequest> {
    lookup::document(pack, text, &serde_json::Map::new())
}

/// Names that cannot be read as a name make the whole unknown: leaving one out would make it milder.
fn environment(pack: &Pack, names: &[String]) -> Environment {
    let parsed: Result<Vec<_>, _> =
        names.iter().map(|raw| EnvironmentName::from_provider(raw)).collect();
    match parsed {
        Ok(names) => Environment::named(names, |name| pack.is_production(name)),
        Err(_) => Environment::unknown(),
    }
}

fn lay_out(found: &mut ObjectFacts, facts: BTreeMap<String, Vec<String>>) {
    for (name, values) in facts {
        match name.as_str() {
            "environment" => {}
            "name" => found.name = values.into_iter().next(),
            "size_mb" => found.size_mb = sum(&values),
            "dependant" => found.dependants = values,
            "backup" => found.backups = sorted(values),
            _ => {
                found.extra.insert(name, values);
            }
        }
    }
}

fn sorted(mut values: Vec<String>) -> Vec<String> {
    values.sort();
    values.dedup();
    values
}

/// Sums megabytes, rounded up; nothing when any value is no number.
fn sum(values: &[String]) -> Option<u64> {
    values.iter().try_fold(0_u64, |total, value| {
        let whole = value.split_once('.').map_or(value.as_str(), |(whole, _)| whole);
        let megabytes: u64 = whole.parse().ok()?;
        let rest = u64::from(value.contains('.'));
        Some(total.saturating_add(megabytes).saturating_add(rest))
    })
}

fn material(
    pack: &Pack,
    kind: &str,
    facts: &BTreeMap<String, Vec<String>>,
) -> BTreeMap<String, MaterialFact> {
    let Some(resolver) = resolver_of(pack, kind) else { return BTreeMap::new() };
    resolver
        .material
        .iter()
        .map(|(name, tolerance_percent)| {
            let values = facts.get(name).map_or(&[][..], Vec::as_slice);
            let measured = if *tolerance_percent == 0 { None } else { sum(values) };
            let fact = match measured {
                Some(value) => {
                    MaterialFact { value, tolerance_percent: *tolerance_percent, ceiling: false }
                }
                // Not a measure: it must stay exactly as it was.
                None => MaterialFact { value: mark(values), tolerance_percent: 0, ceiling: false },
            };
            (name.clone(), fact)
        })
        .collect()
}

/// Returns a number that stands for these very values.
fn mark(values: &[String]) -> u64 {
    let mut hash = sha2::Sha256::new();
    for value in values {
        hash.update((value.len() as u64).to_be_bytes());
        hash.update(value.as_bytes());
    }
    let digest = hash.finalize();
    digest.iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests;

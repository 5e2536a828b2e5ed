//! Taking a recovery point at the provider: list, make, list until a new id appears, lock.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use killick_model::ObjectFacts;
use killick_model::admin::Upstream;
use serde_json::Value;

use super::lookup::{ask, has_errors};
use crate::judge::CanonicalRequest;
use crate::pack::{Lookup, Pack, Point};

/// What taking a recovery point needs next.
#[derive(Clone, Debug)]
pub enum PointStep {
    /// A read.
    Read(CanonicalRequest),
    /// A read, to be sent after a pause: the point is not there yet.
    ReadLater(CanonicalRequest),
    /// The call that makes or locks the point.
    Write(CanonicalRequest),
    /// Taken: the ids of the new points.
    Taken {
        /// The provider's ids.
        ids: Vec<String>,
        /// Whether the provider was told to keep them.
        locked: bool,
    },
    /// Not taken.
    Failed {
        /// Why, without payload.
        because: String,
    },
}

#[derive(Debug)]
enum State {
    ListBefore,
    Make { before: BTreeSet<String> },
    Look { before: BTreeSet<String>, polls: usize },
    Lock { point: String },
    Taken,
    Failed(String),
}

/// The taking of a recovery point, for each value of the fact that the pack names.
#[derive(Debug)]
pub struct PointTaking {
    pack: Arc<Pack>,
    name: String,
    left: VecDeque<String>,
    taken: Vec<String>,
    state: State,
}

impl PointTaking {
    /// The most times that a new point is looked for.
    pub const POLLS_MAX: usize = 20;

    /// The most values for which a point is taken at a time.
    pub const VALUES_MAX: usize = 8;

    /// Starts taking the pack's point for an object whose facts were resolved.
    #[must_use]
    pub fn start(pack: &Arc<Pack>, _upstream: &Upstream, point: &str, facts: &ObjectFacts) -> Self {
        let values: Option<VecDeque<String>> = pack
            .points
            .get(point)
            .map(|known| facts.extra.get(&known.for_each).into_iter().flatten().cloned().collect());
        let state = match &values {
            None => State::Failed(format!("the pack has no recovery point `{point}`")),
            Some(values) if values.is_empty() => {
                State::Failed("nothing was found of which a point could be taken".into())
            }
            Some(values) if values.len() > Self::VALUES_MAX => {
                State::Failed(format!("it would take {} points at once", values.len()))
            }
            Some(_) => State::ListBefore,
        };
        Self {
            pack: Arc::clone(pack),
            name: point.to_owned(),
            left: values.unwrap_or_default(),
            taken: Vec::new(),
            state,
        }
    }

    /// Returns what to do now.
    #[must_use]
    pub fn next(&self) -> PointStep {
        let step = match (&self.state, self.pack.points.get(&self.name)) {
            (State::Failed(because), _) => return PointStep::Failed { because: because.clone() },
            (_, None) => None,
            (State::ListBefore | State::Look { polls: 0, .. }, Some(point)) => {
                self.list(point).map(PointStep::Read)
            }
            (State::Look { .. }, Some(point)) => self.list(point).map(PointStep::ReadLater),
            (State::Make { .. }, Some(point)) => {
                self.left
                    .front()
                    .and_then(|value| ask(&self.pack, &point.make, &[("{value}", value)]))
            }
            .map(PointStep::Write),
            (State::Lock { point: id }, Some(point)) => self.lock(point, id).map(PointStep::Write),
            (State::Taken, Some(point)) => {
                Some(PointStep::Taken { ids: self.taken.clone(), locked: point.lock.is_some() })
            }
        };
        step.unwrap_or_else(|| PointStep::Failed {
            because: "the pack's call cannot be built".into(),
        })
    }

    /// Takes the answer to the call.
    pub fn answer(&mut self, status: u16, body: &Value) {
        if status != 200 || has_errors(body) {
            self.state = State::Failed("the provider answered with an error".into());
            return;
        }
        let listed = self.ids(body);
        self.state =
            match std::mem::replace(&mut self.state, State::Failed("lost its place".into())) {
                State::ListBefore => State::Make { before: listed },
                State::Make { before } => State::Look { before, polls: 0 },
                State::Look { before, polls } => match listed.difference(&before).next() {
                    Some(fresh) => {
                        let point = fresh.clone();
                        self.taken.push(point.clone());
                        self.after_found(point)
                    }
                    None if polls.saturating_add(1) >= Self::POLLS_MAX => State::Failed(
                        "the new recovery point did not appear at the provider".into(),
                    ),
                    None => State::Look { before, polls: polls.saturating_add(1) },
                },
                State::Lock { .. } => self.after_one(),
                State::Taken => State::Taken,
                State::Failed(because) => State::Failed(because),
            };
    }

    /// Tells that the call could not be sent or answered.
    pub fn failed(&mut self) {
        self.state = State::Failed("the provider could not be asked".into());
    }

    fn after_found(&mut self, point: String) -> State {
        let locks = self.pack.points.get(&self.name).is_some_and(|known| known.lock.is_some());
        if locks { State::Lock { point } } else { self.after_one() }
    }

    fn after_one(&mut self) -> State {
        self.left.pop_front();
        if self.left.is_empty() { State::Taken } else { State::ListBefore }
    }

    fn ids(&self, body: &Value) -> BTreeSet<String> {
        let Some(point) = self.pack.points.get(&self.name) else { return BTreeSet::new() };
        point
            .found
            .query(body)
            .all()
            .into_iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    }

    fn list(&self, point: &Point) -> Option<CanonicalRequest> {
        let list = Lookup { query: point.list.clone(), variables: point.make.variables.clone() };
        ask(&self.pack, &list, &[("{value}", self.left.front()?)])
    }

    fn lock(&self, point: &Point, id: &str) -> Option<CanonicalRequest> {
        let mut variables: BTreeMap<String, String> = point.make.variables.clone();
        variables.insert("point".into(), "{point}".into());
        let lock = Lookup { query: point.lock.clone()?, variables };
        ask(&self.pack, &lock, &[("{value}", self.left.front()?), ("{point}", &id.to_owned())])
    }
}

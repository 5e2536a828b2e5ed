//! What an object is, asked at the provider: sans-IO, the driver sends the errands.

use std::sync::Arc;

use killick_model::admin::Upstream;
use killick_model::{ObjectFacts, ObjectRef};

use crate::judge::CanonicalRequest;
use crate::pack::Pack;

/// The most errands for one object.
pub const ERRANDS_PER_OBJECT_MAX: usize = 16;

/// The lookup of one object: ask [`next`](Self::next), send, [`answer`](Self::answer), until there is
/// nothing more to ask; then [`finish`](Self::finish).
#[derive(Debug)]
pub struct Resolution {
    object: ObjectRef,
}

impl Resolution {
    /// Starts the lookup.
    #[must_use]
    pub fn start(_pack: &Arc<Pack>, _upstream: &Upstream, object: &ObjectRef) -> Self {
        Self { object: object.clone() }
    }

    /// Returns the errand to send now; a read.
    #[must_use]
    pub fn next(&self) -> Option<CanonicalRequest> {
        None
    }

    /// Takes the answer to the errand.
    pub fn answer(&mut self, _status: u16, _body: &serde_json::Value) {}

    /// Tells that the errand could not be sent or answered.
    pub fn failed(&mut self) {}

    /// Returns what was found. What is missing is unknown.
    #[must_use]
    pub fn finish(self) -> ObjectFacts {
        ObjectFacts::unresolved(self.object)
    }
}

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

/// The taking of a recovery point: list, make, list until a new id appears, lock.
#[derive(Debug)]
pub struct PointTaking {}

impl PointTaking {
    /// The most times that a new point is looked for.
    pub const POLLS_MAX: usize = 20;

    /// Starts taking the pack's point for an object whose facts were resolved.
    #[must_use]
    pub fn start(
        _pack: &Arc<Pack>,
        _upstream: &Upstream,
        _point: &str,
        _facts: &ObjectFacts,
    ) -> Self {
        Self {}
    }

    /// Returns what to do now.
    #[must_use]
    pub fn next(&self) -> PointStep {
        PointStep::Failed { because: "recovery points cannot be taken yet".into() }
    }

    /// Takes the answer to the call.
    pub fn answer(&mut self, _status: u16, _body: &serde_json::Value) {}

    /// Tells that the call could not be sent or answered.
    pub fn failed(&mut self) {}
}

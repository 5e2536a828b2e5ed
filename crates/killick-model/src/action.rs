//! What a call would do, part by part, as an adapter judged it from a pack, a schema or a grammar.

use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use crate::effect::{Effect, Facet};
use crate::object::{BackupsFate, ObjectRef};

/// What can make one part of a call survivable, by the pack.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    /// How long the gateway may hold the call before it is sent, in milliseconds.
    pub defer_millis: Option<u64>,
    /// The pack's recovery point that is taken first; only one that survives the call is named.
    pub point: Option<String>,
}

/// One operation of a call with its own effect and objects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// `PACK.OPERATION`; the action that policies may name.
    pub operation: String,
    /// What it would do.
    pub effect: Effect,
    /// Whether no inverse call brings it back without something taken before.
    /// Unknown counts as irreversible.
    pub irreversible: bool,
    /// Whether the object's own backups go with it.
    pub backups: BackupsFate,
    /// What it touches, as the call names it. Never empty: an unnamed object is there with no id.
    pub objects: Vec<ObjectRef>,
    /// What can make it survivable.
    pub recovery: Recovery,
    /// Why it was judged so, in one sentence from the pack.
    pub why: String,
}

impl Part {
    /// Returns a part of which nothing is known.
    #[must_use]
    pub fn unrecognized(operation: String, object: ObjectRef, why: impl Into<String>) -> Self {
        Self {
            operation,
            effect: Effect::Unrecognized,
            irreversible: true,
            backups: BackupsFate::Unknown,
            objects: vec![object],
            recovery: Recovery::default(),
            why: why.into(),
        }
    }
}

/// The whole of what a call would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    parts: Vec<Part>,
    excerpt: String,
    #[serde(skip)]
    written: Written,
}

/// The parts as JSON, once somebody asked. Says nothing that the parts do not, so all are equal.
#[derive(Clone, Debug, Default)]
struct Written(OnceLock<Box<str>>);

impl PartialEq for Written {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Written {}

impl Action {
    /// Operations that one call may hold; a call with more is refused.
    pub const PARTS_MAX: usize = 64;
    /// Objects that one call may name; a call with more is refused.
    pub const OBJECTS_MAX: usize = 128;

    /// Builds the action. `excerpt` is shown to people: literals in it are masked already.
    ///
    /// # Errors
    /// There is no part, or more parts or objects than are judged.
    pub fn new(parts: Vec<Part>, excerpt: String) -> Result<Self, ActionError> {
        let objects = parts.iter().map(|part| part.objects.len()).sum::<usize>();
        if parts.is_empty() || parts.iter().any(|part| part.objects.is_empty()) {
            return Err(ActionError::Empty);
        }
        if parts.len() > Self::PARTS_MAX {
            return Err(ActionError::TooManyParts { parts: parts.len() });
        }
        if objects > Self::OBJECTS_MAX {
            return Err(ActionError::TooManyObjects { objects });
        }
        Ok(Self { parts, excerpt, written: Written::default() })
    }

    /// Returns excerpt and parts as the members of a JSON object, without its braces. Written once for each action.
    #[must_use]
    pub fn written(&self) -> &str {
        self.written.0.get_or_init(|| {
            let excerpt = serde_json::Value::from(self.excerpt.as_str());
            let parts = serde_json::to_string(&self.parts).unwrap_or_else(|_| "null".into());
            format!("\"excerpt\":{excerpt},\"parts\":{parts}").into()
        })
    }

    /// Returns the parts.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Returns the masked excerpt.
    #[must_use]
    pub fn excerpt(&self) -> &str {
        &self.excerpt
    }

    /// Returns the effect of the whole: as bad as its worst part.
    #[must_use]
    pub fn effect(&self) -> Effect {
        Effect::of_batch(self.parts.iter().map(|part| part.effect))
    }

    /// Returns whether any part is irreversible.
    #[must_use]
    pub fn irreversible(&self) -> bool {
        self.parts.iter().any(|part| part.irreversible)
    }

    /// Returns whether any part is unbounded.
    #[must_use]
    pub fn unbounded(&self) -> bool {
        self.parts.iter().any(|part| part.effect.has(Facet::Unbounded))
    }

    /// Returns the name of the operation that is worst, for one-line listings.
    #[must_use]
    pub fn headline(&self) -> &str {
        self.parts
            .iter()
            .max_by_key(|part| part.effect.word().level())
            .map_or("(nothing)", |part| part.operation.as_str())
    }

    /// Returns every object once, in order of first mention.
    #[must_use]
    pub fn objects(&self) -> Vec<&ObjectRef> {
        let mut seen: Vec<&ObjectRef> = Vec::new();
        for object in self.parts.iter().flat_map(|part| &part.objects) {
            if !seen.contains(&object) {
                seen.push(object);
            }
        }
        seen
    }
}

/// Why a call cannot be judged as a whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ActionError {
    /// Nothing to judge.
    #[error("the call holds nothing that could be judged")]
    Empty,
    /// More operations than [`Action::PARTS_MAX`].
    #[error("the call holds {parts} operations, judged are at most {}", Action::PARTS_MAX)]
    TooManyParts {
        /// How many came.
        parts: usize,
    },
    /// More objects than [`Action::OBJECTS_MAX`].
    #[error("the call names {objects} objects, judged are at most {}", Action::OBJECTS_MAX)]
    TooManyObjects {
        /// How many came.
        objects: usize,
    },
}

//! A statement, or the end of a transaction, as the gate sees it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use killick_gate::Call;
use killick_model::{
    Action, BackupsFate, CallDigest, Code, Effect, ObjectRef, Part, Recovery, Refusal, UpstreamName,
};
use killick_sql::judged::{SqlObject, Touch};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// The version of the canonical form.
pub(crate) const CANONICAL_VERSION: u32 = 1;

/// Objects that one call names by itself; beyond, the database stands for all of them.
const OBJECTS_NAMED_MAX: usize = 100;

/// One statement as the agent sent it, with its bind values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Said {
    /// The text, byte for byte.
    pub(crate) text: String,
    /// The bind values as they came, with their formats; empty in the simple protocol.
    pub(crate) values: Vec<Option<Vec<u8>>>,
    /// Formats of the values.
    pub(crate) formats: Vec<i16>,
    /// Types of the parameters that the agent declared.
    pub(crate) types: Vec<u32>,
}

/// What a session asks of its database: one statement, or the end of several.
pub(crate) struct SqlCall {
    pub(crate) action: Arc<Action>,
    pub(crate) digest: CallDigest,
    pub(crate) upstream: UpstreamName,
    pub(crate) said: Vec<Said>,
    /// The settings under which the names in it mean what they mean.
    pub(crate) settings: Arc<BTreeMap<String, String>>,
}

/// A call as it is kept while it waits for a human.
#[derive(Serialize, Deserialize)]
pub(crate) struct Canonical {
    pub(crate) version: u32,
    pub(crate) said: Vec<Said>,
    pub(crate) settings: BTreeMap<String, String>,
}

impl SqlCall {
    /// Builds a call from its parts; the digest is over database, settings, and every statement with its values.
    pub(crate) fn new(
        upstream: UpstreamName,
        parts: Vec<Part>,
        excerpt: String,
        said: Vec<Said>,
        settings: impl Into<Arc<BTreeMap<String, String>>>,
    ) -> Result<Self, Refusal> {
        let action = Action::new(parts, excerpt)
            .map_err(|error| Refusal::new(Code::TooMany, error.to_string()))?;
        Ok(Self::of(upstream, Arc::new(action), said, settings.into()))
    }

    /// Builds a call from what it would do.
    pub(crate) fn of(
        upstream: UpstreamName,
        action: Arc<Action>,
        said: Vec<Said>,
        settings: Arc<BTreeMap<String, String>>,
    ) -> Self {
        let digest = digest(&upstream, &said, &settings);
        Self { action, digest, upstream, said, settings }
    }
}

impl Call for SqlCall {
    fn action(&self) -> &Action {
        &self.action
    }

    fn digest(&self) -> CallDigest {
        self.digest
    }

    fn upstream(&self) -> &UpstreamName {
        &self.upstream
    }

    fn canonical(&self) -> Result<Zeroizing<Vec<u8>>, Refusal> {
        let canonical = Canonical {
            version: CANONICAL_VERSION,
            said: self.said.clone(),
            settings: self.settings.as_ref().clone(),
        };
        serde_json::to_vec(&canonical).map(Zeroizing::new).map_err(|error| {
            Refusal::new(Code::DecisionFailed, format!("the call cannot be kept: {error}"))
        })
    }
}

/// Returns the digest that an approval is bound to.
pub(crate) fn digest(
    upstream: &UpstreamName,
    said: &[Said],
    settings: &BTreeMap<String, String>,
) -> CallDigest {
    let mut pieces: Vec<Cow<'_, [u8]>> = Vec::with_capacity(8);
    pieces.push(Cow::Borrowed(b"postgres"));
    pieces.push(upstream.as_str().as_bytes().into());
    for (name, value) in settings {
        pieces.push(format!("{name}={value}").into_bytes().into());
    }
    for one in said {
        pieces.push(Cow::Borrowed(b"statement"));
        pieces.push(one.text.as_bytes().into());
        for (at, value) in one.values.iter().enumerate() {
            let format = one.formats.get(at).or(one.formats.first()).copied().unwrap_or(0);
            let kind = one.types.get(at).copied().unwrap_or(0);
            pieces.push(format!("{format}/{kind}/{}", value.is_some()).into_bytes().into());
            pieces.push(value.as_deref().unwrap_or_default().into());
        }
    }
    let framed: Vec<&[u8]> = pieces.iter().map(AsRef::as_ref).collect();
    CallDigest::of(&framed)
}

/// Returns a short mark of bytes, so that two calls with other arguments are two calls.
pub(crate) fn hex_digest(bytes: &[u8]) -> String {
    CallDigest::of(&[bytes]).to_string()
}

/// Returns the database as an object.
pub(crate) fn database_ref(upstream: &UpstreamName) -> ObjectRef {
    ObjectRef {
        upstream: upstream.clone(),
        kind: "database".into(),
        id: upstream.as_str().to_owned(),
        within: None,
    }
}

/// Returns an object of a database as the gate names it.
pub(crate) fn object_ref(upstream: &UpstreamName, object: &SqlObject) -> ObjectRef {
    let mut id = object.name.clone();
    if id.len() > ObjectRef::ID_BYTES_MAX {
        let cut = id.floor_char_boundary(ObjectRef::ID_BYTES_MAX);
        id.truncate(cut);
    }
    ObjectRef {
        upstream: upstream.clone(),
        kind: object.kind.replace(':', "-"),
        id,
        within: Some(Box::new(database_ref(upstream))),
    }
}

/// Returns the parts of a statement: one for each kind of deed and effect, with all objects that it is done to.
pub(crate) fn parts(
    upstream: &UpstreamName,
    touches: &[Touch],
    recovery: &dyn Fn(&Touch) -> Recovery,
) -> Vec<Part> {
    let named: usize = touches.len();
    let mut parts: Vec<Part> = Vec::new();
    for touch in touches {
        let operation = format!("postgres.{}", touch.group.as_str());
        let object = if named > OBJECTS_NAMED_MAX {
            database_ref(upstream)
        } else {
            object_ref(upstream, &touch.object)
        };
        let recovery = recovery(touch);
        let same = parts.iter_mut().find(|part| {
            part.operation == operation
                && part.effect == touch.effect
                && part.recovery == recovery
                && part.irreversible == touch.irreversible
        });
        match same {
            Some(part) => {
                if !part.objects.contains(&object) {
                    part.objects.push(object);
                }
            }
            None => parts.push(part(operation, touch, object, recovery)),
        }
    }
    parts
}

fn part(operation: String, touch: &Touch, object: ObjectRef, recovery: Recovery) -> Part {
    Part {
        operation,
        effect: touch.effect,
        irreversible: touch.irreversible,
        backups: BackupsFate::Survive,
        objects: vec![object],
        recovery,
        why: touch.why.clone(),
    }
}

/// Returns the part for the session's own login.
pub(crate) fn login_part(upstream: &UpstreamName, granted: Option<&str>) -> Part {
    Part {
        operation: "postgres.login".into(),
        effect: Effect::READ,
        irreversible: false,
        backups: BackupsFate::Survive,
        objects: vec![database_ref(upstream)],
        recovery: Recovery::default(),
        why: granted.map_or_else(
            || "a login changes nothing".to_owned(),
            |grant| format!("a login to read, by grant `{grant}`"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str, value: Option<&[u8]>) -> Vec<Said> {
        vec![Said {
            text: text.into(),
            values: vec![value.map(<[u8]>::to_vec)],
            formats: vec![0],
            types: vec![],
        }]
    }

    #[test]
    fn an_approval_is_bound_to_text_values_and_the_search_path() {
        let main = UpstreamName::parse("main").unwrap();
        let path = |raw: &str| BTreeMap::from([("search_path".to_owned(), raw.to_owned())]);
        let base = digest(&main, &said("DELETE FROM t WHERE id=$1", Some(b"1")), &path("public"));
        for other in [
            digest(&main, &said("DELETE FROM t WHERE id=$1 ", Some(b"1")), &path("public")),
            digest(&main, &said("DELETE FROM t WHERE id=$1", Some(b"2")), &path("public")),
            digest(&main, &said("DELETE FROM t WHERE id=$1", None), &path("public")),
            digest(&main, &said("DELETE FROM t WHERE id=$1", Some(b"1")), &path("evil")),
            digest(
                &UpstreamName::parse("other").unwrap(),
                &said("DELETE FROM t WHERE id=$1", Some(b"1")),
                &path("public"),
            ),
        ] {
            assert_ne!(base, other);
        }
    }
}

//! REST: operations of a pack, otherwise the method alone.

use killick_model::admin::Upstream;
use killick_model::{BackupsFate, Effect, Part, Recovery};

use crate::body::{self, ContentType, Json};
use crate::judge::argument::Arg;
use crate::judge::{RequestView, account};
use crate::pack::{Operation, Pack, RestPattern};

/// What a body says, as far as it is read.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// No body.
    Empty,
    /// JSON.
    Json(Json),
    /// A form.
    Form(Vec<(String, String)>),
    /// Plain text.
    Text(String),
    /// Anything else; nobody reads it.
    Opaque,
}

/// Reads a body that is not GraphQL. A body that claims to be JSON or a form and is not is `None`.
pub(crate) fn content(request: &RequestView, decoded: &[u8]) -> Option<Content> {
    if decoded.is_empty() {
        return Some(Content::Empty);
    }
    let text = body::text(decoded);
    Some(match ContentType::of(request) {
        ContentType::Json => Content::Json(Json::parse(text?).ok()?),
        ContentType::Form => Content::Form(body::pairs(text?)?),
        ContentType::Text => text.map_or(Content::Opaque, |text| Content::Text(text.to_owned())),
        ContentType::Unsaid
        | ContentType::Graphql
        | ContentType::Multipart
        | ContentType::Other => Content::Opaque,
    })
}

/// Finds the most literal operation of a pack that a request fits, with its arguments.
pub(crate) fn operation<'pack>(
    pack: &'pack Pack,
    request: &RequestView,
    query: &[(String, String)],
    content: &Content,
) -> Option<(&'pack RestPattern, &'pack Operation, Arg)> {
    let (pattern, operation, named) = pack
        .rest
        .iter()
        .filter_map(|(pattern, operation)| {
            Some((pattern, operation, pattern.matches(&request.method, &request.path)?))
        })
        .max_by_key(|(pattern, _, _)| pattern.exactness())?;
    let mut fields: Vec<(String, Arg)> =
        named.into_iter().map(|(name, value)| (name, Arg::Scalar(value))).collect();
    fields.push(("query".into(), pairs_arg(query)));
    fields.push((
        "body".into(),
        match content {
            Content::Empty => Arg::Null,
            Content::Json(value) => Arg::from(value),
            Content::Form(pairs) => pairs_arg(pairs),
            Content::Text(_) | Content::Opaque => Arg::Unknown,
        },
    ));
    Some((pattern, operation, Arg::Object(fields)))
}

fn pairs_arg(pairs: &[(String, String)]) -> Arg {
    Arg::Object(
        pairs.iter().map(|(key, value)| (key.clone(), Arg::Scalar(value.clone()))).collect(),
    )
}

/// Judges a request that no pack knows.
pub(crate) fn by_method(
    upstream: &Upstream,
    request: &RequestView,
    query: &[(String, String)],
    content: &Content,
) -> Part {
    let operation = format!("http.{}", request.method);
    let object = account(&upstream.name);
    let unrecognized =
        |why: &str| Part::unrecognized(operation.clone(), object.clone(), why.to_owned());
    let known = |effect: Effect, irreversible: bool, backups, why: &str| Part {
        operation: operation.clone(),
        effect,
        irreversible,
        backups,
        objects: vec![object.clone()],
        recovery: Recovery::default(),
        why: why.to_owned(),
    };
    match request.method.as_str() {
        "GET" | "HEAD" | "OPTIONS" => {
            if !matches!(content, Content::Empty) {
                return unrecognized("a read with a body");
            }
            if carries_action(&request.path, query) || carries_document(query) {
                return unrecognized("a read whose address names an action or holds a document");
            }
            known(Effect::READ, false, BackupsFate::Survive, "reads, by its method")
        }
        "DELETE" => known(Effect::DESTROY, true, BackupsFate::Unknown, "deletes, by its method"),
        "POST" | "PUT" | "PATCH" if upstream.writes_by_method => {
            if matches!(content, Content::Opaque) {
                return unrecognized("a body that nobody reads");
            }
            if carries_action(&request.path, query) || speaks_graphql(query, content) {
                return unrecognized("an address that names an action, or a GraphQL document");
            }
            known(Effect::WRITE, true, BackupsFate::Survive, "writes, as declared for its method")
        }
        _ => unrecognized("no pack knows it, and its method says too little"),
    }
}

/// Verbs that act when they stand as an action in an address.
const ACTIONS: [&str; 16] = [
    "delete",
    "destroy",
    "remove",
    "purge",
    "drop",
    "truncate",
    "wipe",
    "flush",
    "reset",
    "revoke",
    "terminate",
    "kill",
    "shutdown",
    "restore",
    "rollback",
    "erase",
];

fn is_action(word: &str) -> bool {
    ACTIONS.iter().any(|action| word.eq_ignore_ascii_case(action))
}

// The last segment, a method after its dot or colon, a bare key, or a key that is known to hold an action.
fn carries_action(path: &str, query: &[(String, String)]) -> bool {
    let last = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let bare = EXTENSIONS.iter().find_map(|extension| last.strip_suffix(extension)).unwrap_or(last);
    let method = bare.rsplit(['.', ':', '!']).next().unwrap_or_default();
    is_action(method)
        || query.iter().any(|(key, value)| {
            let switches = matches!(value.as_str(), "" | "1" | "true" | "yes");
            let names_action = ACTION_KEYS.iter().any(|known| key.eq_ignore_ascii_case(known));
            (is_action(key) && switches) || (names_action && begins_with_action(value))
        })
}

/// Endings of scripts and formats that stand behind an action.
const EXTENSIONS: [&str; 8] = [".json", ".xml", ".php", ".html", ".do", ".action", ".aspx", ".cgi"];

/// Keys of a query whose value names an action.
const ACTION_KEYS: [&str; 8] =
    ["action", "_method", "method", "cmd", "command", "do", "op", "operation"];

// `DeleteBucket`, `delete_user`, `user.delete`
fn begins_with_action(value: &str) -> bool {
    let lower = value.to_ascii_lowercase();
    ACTIONS.iter().any(|action| lower.starts_with(action))
        || lower.split(|c: char| !c.is_ascii_alphanumeric()).any(is_action)
}

fn carries_document(query: &[(String, String)]) -> bool {
    query.iter().any(|(key, value)| {
        key.eq_ignore_ascii_case("query")
            && value.contains('{')
            && crate::graphql::looks_like_document(value)
    })
}

fn speaks_graphql(query: &[(String, String)], content: &Content) -> bool {
    let document = |text: &str| text.contains('{') && crate::graphql::looks_like_document(text);
    let object = |value: &Json| match value.get("query") {
        Some(Json::String(text)) => document(text),
        Some(Json::Null | Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_))
        | None => false,
    };
    carries_document(query)
        || match content {
            Content::Json(Json::Array(items)) => items.iter().any(object),
            Content::Json(value) => object(value),
            Content::Form(pairs) => carries_document(pairs),
            Content::Text(text) => document(text),
            Content::Empty | Content::Opaque => false,
        }
}

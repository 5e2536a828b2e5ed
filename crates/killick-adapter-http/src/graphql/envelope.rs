//! The shapes in which GraphQL comes over HTTP.

use bytes::Bytes;
use killick_model::{Code, Refusal};

use crate::body::{self, ContentType, Json};
use crate::judge::RequestView;

/// Elements of a batch that are judged.
const BATCH_LEN_MAX: usize = 32;

/// Keys that mean something to a GraphQL server, lower case.
const KEYS: [&str; 4] = ["query", "operationname", "variables", "extensions"];
/// Keys that name a document which the server keeps, lower case without separators.
const STORED_KEYS: [&str; 8] =
    ["id", "documentid", "docid", "queryid", "hash", "sha256hash", "persistedquery", "queryhash"];

/// One request for one operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Element {
    /// The document.
    pub(crate) text: String,
    /// The operation to run.
    pub(crate) operation_name: Option<String>,
    /// Its variables.
    pub(crate) variables: Vec<(String, Json)>,
}

/// What a request asks of a GraphQL endpoint.
#[derive(Debug)]
pub(crate) enum Envelope {
    /// Documents, to be judged.
    Documents {
        /// One for each operation that will run.
        elements: Vec<Element>,
        /// Whether they came as a batch, so that the answer is a list.
        batch: bool,
    },
    /// Nothing that can be read as a document.
    Opaque {
        /// Why.
        because: &'static str,
        /// The body as it is to be sent.
        body: Bytes,
    },
}

/// Reads a request to a GraphQL path.
///
/// # Errors
/// It can be read in two ways.
pub(crate) fn envelope(request: &RequestView) -> Result<Envelope, Refusal> {
    let body = body::decode(request)?;
    let in_query = match &request.query {
        None => Vec::new(),
        Some(query) => {
            body::pairs(query).ok_or_else(|| ambiguous("the query string is damaged"))?
        }
    };
    let speaks = in_query.iter().any(|(key, _)| is_key(key) || is_stored_key(key));
    match request.method.as_str() {
        "GET" if body.is_empty() => from_pairs(&in_query, body),
        "POST" if speaks => {
            Err(ambiguous("the query string of a POST says what the body should say"))
        }
        "POST" => from_body(request, &body),
        "GET" => Err(ambiguous("a GET with a body")),
        _ => Ok(Envelope::Opaque { because: "a method that GraphQL does not use", body }),
    }
}

/// Returns whether a text reads as a GraphQL document; used where no pack says that a path speaks it.
pub(crate) fn looks_like_document(text: &str) -> bool {
    super::document::parses(text)
}

fn ambiguous(because: &str) -> Refusal {
    Refusal::new(Code::AmbiguousBody, because)
}

fn is_key(key: &str) -> bool {
    KEYS.contains(&key.to_ascii_lowercase().as_str())
}

fn is_stored_key(key: &str) -> bool {
    let bare: String =
        key.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    STORED_KEYS.contains(&bare.as_str())
}

fn from_body(request: &RequestView, body: &Bytes) -> Result<Envelope, Refusal> {
    let opaque = |because| Envelope::Opaque { because, body: body.clone() };
    if body.is_empty() {
        return Ok(opaque("an empty body"));
    }
    let kind = ContentType::of(request);
    if kind == ContentType::Multipart {
        return Ok(opaque("a multipart request is not taken apart"));
    }
    let Some(text) = body::text(body) else {
        return Err(ambiguous("the body is not UTF-8"));
    };
    match kind {
        ContentType::Graphql if !looks_like_json(text) => Ok(Envelope::Documents {
            elements: vec![Element {
                text: text.to_owned(),
                operation_name: None,
                variables: Vec::new(),
            }],
            batch: false,
        }),
        // `curl -d` calls JSON a form. What is sent says that it is JSON.
        ContentType::Form if !looks_like_json(text) => {
            let pairs = body::pairs(text).ok_or_else(|| ambiguous("the form is damaged"))?;
            from_pairs(&pairs, body.clone())
        }
        ContentType::Form if form_speaks(text) => {
            Err(ambiguous("the body reads as a form and as JSON"))
        }
        ContentType::Json
        | ContentType::Form
        | ContentType::Graphql
        | ContentType::Text
        | ContentType::Unsaid
        | ContentType::Other => match Json::parse(text) {
            Ok(value) => from_json(&value, body.clone()),
            Err(body::json::JsonError::Syntax { .. }) if kind != ContentType::Json => {
                Ok(opaque("a body that is not JSON"))
            }
            Err(error) => Err(ambiguous(&error.to_string())),
        },
        ContentType::Multipart => Ok(opaque("a multipart request is not taken apart")),
    }
}

fn looks_like_json(text: &str) -> bool {
    text.trim_start().starts_with(['{', '[']) && Json::parse(text).is_ok()
        || text.trim_start().starts_with("{\"")
}

fn form_speaks(text: &str) -> bool {
    body::pairs(text)
        .is_some_and(|pairs| pairs.iter().any(|(key, _)| is_key(key) || is_stored_key(key)))
}

fn from_json(value: &Json, body: Bytes) -> Result<Envelope, Refusal> {
    let (items, batch) = match value {
        Json::Array(items) => (items.as_slice(), true),
        Json::Object(_) => (std::slice::from_ref(value), false),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {
            return Ok(Envelope::Opaque { because: "a body that is no object", body });
        }
    };
    if items.len() > BATCH_LEN_MAX {
        return Err(Refusal::new(
            Code::BodyTooLarge,
            format!("a batch of {} operations, judged are {BATCH_LEN_MAX}", items.len()),
        ));
    }
    let mut elements = Vec::new();
    for item in items {
        let Json::Object(fields) = item else {
            return Err(ambiguous("a batch holds something that is no object"));
        };
        match element(fields)? {
            Ok(element) => elements.push(element),
            Err(because) => return Ok(Envelope::Opaque { because, body }),
        }
    }
    if elements.is_empty() {
        return Ok(Envelope::Opaque { because: "an empty batch", body });
    }
    Ok(Envelope::Documents { elements, batch })
}

// The inner error is a reason why the element is opaque.
fn element(fields: &[(String, Json)]) -> Result<Result<Element, &'static str>, Refusal> {
    let mut text = None;
    let mut operation_name = None;
    let mut variables = Vec::new();
    for (key, value) in fields {
        match (key.as_str(), value) {
            ("query", Json::String(document)) => text = Some(document.clone()),
            ("query" | "operationName" | "variables", Json::Null) | ("extensions", _) => {}
            ("operationName", Json::String(name)) => {
                operation_name = Some(name.clone()).filter(|name| !name.is_empty());
            }
            ("variables", Json::Object(given)) => variables.clone_from(given),
            ("variables", Json::String(inner)) => variables = variables_text(inner)?,
            ("query" | "operationName" | "variables", _) => {
                return Err(ambiguous(
                    "`query`, `operationName` or `variables` is not what it should be",
                ));
            }
            (other, _) if is_key(other) => {
                return Err(ambiguous("a key differs from a key of GraphQL by its case alone"));
            }
            (_, _) => {}
        }
    }
    Ok(match text {
        Some(text) => Ok(Element { text, operation_name, variables }),
        None => Err("no document: a stored one is known to the provider alone"),
    })
}

fn variables_text(inner: &str) -> Result<Vec<(String, Json)>, Refusal> {
    match Json::parse(inner) {
        Ok(Json::Object(given)) => Ok(given),
        Ok(Json::Null) => Ok(Vec::new()),
        Ok(Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_)) | Err(_) => {
            Err(ambiguous("`variables` is a text that is no JSON object"))
        }
    }
}

fn from_pairs(pairs: &[(String, String)], body: Bytes) -> Result<Envelope, Refusal> {
    let mut fields: Vec<(String, Json)> = Vec::new();
    for (key, value) in pairs {
        if fields.iter().any(|(seen, _)| seen.eq_ignore_ascii_case(key)) && is_key(key) {
            return Err(ambiguous("a key of GraphQL stands twice"));
        }
        if value.is_empty() && key == "variables" {
            continue;
        }
        fields.push((key.clone(), Json::String(value.clone())));
    }
    Ok(match element(&fields)? {
        Ok(element) => Envelope::Documents { elements: vec![element], batch: false },
        Err(because) => Envelope::Opaque { because, body },
    })
}

#[cfg(test)]
#[path = "envelope_tests.rs"]
mod tests;

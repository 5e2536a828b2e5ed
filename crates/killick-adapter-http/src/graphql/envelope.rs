//! The shapes in which GraphQL comes over HTTP.

use bytes::Bytes;
use killick_model::{Code, Refusal};

use super::reading::{self, Element, Reading, WAYS_MAX, ambiguous, distinct, is_key};
use crate::body::{self, ContentType, Json};
use crate::judge::RequestView;

mod parts;

/// Elements of a batch that are judged.
const BATCH_LEN_MAX: usize = 32;

/// Keys that name a document which the server keeps, lower case without separators.
const STORED_KEYS: [&str; 8] =
    ["id", "documentid", "docid", "queryid", "hash", "sha256hash", "persistedquery", "queryhash"];

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
    /// Documents that are judged for telling what they would do, and never sent.
    Doubtful {
        /// One for each operation in each way to read the request.
        elements: Vec<Element>,
        /// Why it is not sent.
        doubt: Doubt,
        /// The body as it came, content encoding undone.
        body: Bytes,
    },
    /// Nothing that can be read as a document.
    Opaque {
        /// Why.
        because: &'static str,
        /// The body as it is to be sent.
        body: Bytes,
    },
}

/// Why documents that could be read are not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// They can be read in two ways.
    Ambiguous(String),
    /// They come in a shape that is not sent on.
    Invalid(&'static str),
}

/// Reads a request to a GraphQL path.
///
/// # Errors
/// It can be read in two ways, and not in each of them as documents.
pub(crate) fn envelope(request: &RequestView) -> Result<Envelope, Refusal> {
    let body = body::unpack(request)?;
    let in_query = match &request.query {
        None => Vec::new(),
        Some(query) => {
            body::pairs(query).ok_or_else(|| ambiguous("the query string is damaged"))?
        }
    };
    match request.method.as_str() {
        "GET" if body.is_empty() => from_fields(&fields_of(&in_query), &[], &body),
        "GET" | "POST" => {
            if in_query.iter().any(|(key, _)| is_stored_key(key)) {
                return Err(ambiguous("the query string names a stored document beside a body"));
            }
            let beside: Vec<(String, Json)> =
                fields_of(&in_query).into_iter().filter(|(key, _)| is_key(key)).collect();
            let found = from_body(request, &body, &beside)?;
            if request.method == "GET" {
                return doubtful(found, Doubt::Ambiguous("a GET with a body".into()), &body);
            }
            Ok(found)
        }
        _ => Ok(Envelope::Opaque { because: "a method that GraphQL does not use", body }),
    }
}

/// Returns whether a text reads as a GraphQL document; used where no pack says that a path speaks it.
pub(crate) fn looks_like_document(text: &str) -> bool {
    super::document::parses(text)
}

fn is_stored_key(key: &str) -> bool {
    let bare: String =
        key.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    STORED_KEYS.contains(&bare.as_str())
}

// Only documents are told in spite of a doubt.
fn doubtful(found: Envelope, doubt: Doubt, body: &Bytes) -> Result<Envelope, Refusal> {
    match found {
        Envelope::Documents { mut elements, batch: _ } => {
            distinct(&mut elements);
            Ok(Envelope::Doubtful { elements, doubt, body: body.clone() })
        }
        Envelope::Doubtful { .. } => Ok(found),
        Envelope::Opaque { because, .. } => Err(ambiguous(because)),
    }
}

fn from_body(
    request: &RequestView,
    body: &Bytes,
    beside: &[(String, Json)],
) -> Result<Envelope, Refusal> {
    if body.is_empty() {
        return match beside {
            [] => Ok(Envelope::Opaque { because: "an empty body", body: body.clone() }),
            _ => from_fields(&[], beside, body),
        };
    }
    let kind = ContentType::of(request);
    let (decoded, refused) = match body::decode(request) {
        Ok(decoded) => (Some(decoded), ambiguous("the body is not UTF-8")),
        Err(refused) => (None, refused),
    };
    if let (Some(decoded), ContentType::Multipart) = (&decoded, kind) {
        return parts::from_parts(request, decoded, beside);
    }
    let text = decoded.as_deref().and_then(body::text);
    let found = text.map_or(Err(refused), |text| from_text(kind, text, body, beside));
    match found {
        Err(refused) if text.is_none_or(|text| text.contains('\0')) => {
            by_charset(request, body, beside, refused)
        }
        Ok(_) | Err(_) => found,
    }
}

// What is said beside a body that nobody can read may be all that counts, or nothing.
fn unreadable(
    because: &'static str,
    beside: &[(String, Json)],
    body: &Bytes,
) -> Result<Envelope, Refusal> {
    if beside.is_empty() {
        Ok(Envelope::Opaque { because, body: body.clone() })
    } else {
        Err(ambiguous("the query string of a POST says what the body should say"))
    }
}

fn from_text(
    kind: ContentType,
    text: &str,
    body: &Bytes,
    beside: &[(String, Json)],
) -> Result<Envelope, Refusal> {
    let fields_of_form = || {
        let pairs = body::pairs(text).ok_or_else(|| ambiguous("the form is damaged"))?;
        Ok::<_, Refusal>(fields_of(&pairs))
    };
    match kind {
        ContentType::Graphql if !looks_like_json(text) => {
            from_fields(&[("query".to_owned(), Json::String(text.to_owned()))], beside, body)
        }
        // `curl -d` calls JSON a form. What is sent says that it is JSON.
        ContentType::Form if !looks_like_json(text) => {
            from_fields(&fields_of_form()?, beside, body)
        }
        ContentType::Form if form_speaks(text) => {
            let doubt = "the body reads as a form and as JSON";
            let as_json = from_json(text, body, beside)?;
            let as_form = from_fields(&fields_of_form()?, beside, body)?;
            both(as_json, as_form, doubt, body)
        }
        ContentType::Json => from_json(text, body, beside),
        ContentType::Form
        | ContentType::Graphql
        | ContentType::Text
        | ContentType::Unsaid
        | ContentType::Multipart
        | ContentType::Other => match Json::parse(text) {
            Err(body::json::JsonError::Syntax { .. }) => {
                unreadable("a body that is not JSON", beside, body)
            }
            Ok(_) | Err(_) => from_json(text, body, beside),
        },
    }
}

fn both(one: Envelope, other: Envelope, because: &str, body: &Bytes) -> Result<Envelope, Refusal> {
    let mut all = Vec::new();
    for found in [one, other] {
        match found {
            Envelope::Documents { elements, .. } | Envelope::Doubtful { elements, .. } => {
                all.extend(elements);
            }
            Envelope::Opaque { .. } => return Err(ambiguous(because)),
        }
    }
    let found = Envelope::Documents { elements: all, batch: false };
    doubtful(found, Doubt::Ambiguous(because.into()), body)
}

// A text that is no JSON is none that a server would run; one that is must be readable.
fn by_charset(
    request: &RequestView,
    body: &Bytes,
    beside: &[(String, Json)],
    refused: Refusal,
) -> Result<Envelope, Refusal> {
    let mut all = Vec::new();
    for text in body::texts_by_charset(request, body) {
        if matches!(Json::parse(&text), Err(body::json::JsonError::Syntax { .. })) {
            continue;
        }
        match from_json(&text, body, beside)? {
            Envelope::Documents { elements, .. } | Envelope::Doubtful { elements, .. } => {
                all.extend(elements);
            }
            Envelope::Opaque { .. } => return Err(refused),
        }
    }
    if all.is_empty() {
        return Err(refused);
    }
    let found = Envelope::Documents { elements: all, batch: false };
    doubtful(found, Doubt::Ambiguous(refused.because), body)
}

fn looks_like_json(text: &str) -> bool {
    text.trim_start().starts_with(['{', '[']) && Json::parse(text).is_ok()
        || text.trim_start().starts_with("{\"")
}

fn form_speaks(text: &str) -> bool {
    body::pairs(text)
        .is_some_and(|pairs| pairs.iter().any(|(key, _)| is_key(key) || is_stored_key(key)))
}

fn from_json(text: &str, body: &Bytes, beside: &[(String, Json)]) -> Result<Envelope, Refusal> {
    let ways = body::ways(text, WAYS_MAX).map_err(|error| ambiguous(error.to_string()))?;
    let mut doubt = ways.doubt.map(|error| error.to_string());
    let mut all = Vec::new();
    let mut is_batch = false;
    for value in &ways.values {
        let (items, batch) = match value {
            Json::Array(items) => (items.as_slice(), true),
            Json::Object(_) => (std::slice::from_ref(value), false),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => (&[][..], false),
        };
        if items.is_empty() {
            let because = if batch { "an empty batch" } else { "a body that is no object" };
            return unreadable(because, beside, body);
        }
        is_batch = batch;
        if let Err(because) = from_items(items, beside, &mut all, &mut doubt)? {
            return match doubt {
                Some(doubt) => Err(ambiguous(doubt)),
                None => Ok(Envelope::Opaque { because, body: body.clone() }),
            };
        }
    }
    let found = Envelope::Documents { elements: all, batch: is_batch };
    match doubt {
        Some(doubt) => doubtful(found, Doubt::Ambiguous(doubt), body),
        None => Ok(found),
    }
}

// The inner error is a reason why the body is opaque.
fn from_items(
    items: &[Json],
    beside: &[(String, Json)],
    all: &mut Vec<Element>,
    doubt: &mut Option<String>,
) -> Result<Result<(), &'static str>, Refusal> {
    if items.len() > BATCH_LEN_MAX {
        return Err(Refusal::new(
            Code::BodyTooLarge,
            format!("a batch of {} operations, judged are {BATCH_LEN_MAX}", items.len()),
        ));
    }
    let mut opaque = Ok(());
    for item in items {
        let Json::Object(fields) = item else {
            return Err(ambiguous("a batch holds something that is no object"));
        };
        match reading::read(fields, beside)? {
            Reading::Documents { elements, doubt: found } => {
                all.extend(elements);
                if let (None, Some(found)) = (&doubt, found) {
                    *doubt = Some(found.to_owned());
                }
            }
            Reading::Opaque(because) => opaque = Err(because),
        }
    }
    Ok(opaque)
}

// Of a form or an address, an empty value of `variables` stands for none.
fn fields_of(pairs: &[(String, String)]) -> Vec<(String, Json)> {
    let value = |key: &str, value: &str| {
        if value.is_empty() && key.eq_ignore_ascii_case("variables") {
            Json::Null
        } else {
            Json::String(value.to_owned())
        }
    };
    pairs.iter().map(|(key, text)| (key.clone(), value(key, text))).collect()
}

fn from_fields(
    fields: &[(String, Json)],
    beside: &[(String, Json)],
    body: &Bytes,
) -> Result<Envelope, Refusal> {
    match reading::read(fields, beside)? {
        Reading::Documents { elements, doubt } => {
            let found = Envelope::Documents { elements, batch: false };
            match doubt {
                Some(doubt) => doubtful(found, Doubt::Ambiguous(doubt.into()), body),
                None => Ok(found),
            }
        }
        Reading::Opaque(because) => Ok(Envelope::Opaque { because, body: body.clone() }),
    }
}

#[cfg(test)]
#[path = "envelope_tests.rs"]
mod tests;

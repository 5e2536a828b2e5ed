//! GraphQL in the parts of a form (graphql-multipart-request).

use bytes::Bytes;
use killick_model::Refusal;

use super::{Doubt, Envelope, doubtful, fields_of, from_json};
use crate::body::{self, FormPart, Json, multipart};
use crate::graphql::reading::{self, Element, Reading, is_key};
use crate::judge::RequestView;

/// The part that holds the request.
const OPERATIONS: &str = "operations";
/// The part that says which files stand for which nulls.
const MAP: &str = "map";

/// Reads a multipart request. One with nothing but its operations is the JSON that they are; every
/// other is told by all that it holds, and not sent.
pub(super) fn from_parts(
    request: &RequestView,
    body: &Bytes,
    beside: &[(String, Json)],
) -> Result<Envelope, Refusal> {
    let opaque = |because| Ok(Envelope::Opaque { because, body: body.clone() });
    let Some(parts) = multipart(request, body) else {
        return opaque("a multipart body whose parts are not certain");
    };
    let (plain, files) = (is_plain(&parts), brings_files(&parts));
    let mut all: Vec<Element> = Vec::new();
    let mut pairs: Vec<(String, String)> = Vec::new();
    for part in &parts {
        let Some(text) = body::text(part.content) else {
            if is_operations(part) || is_key(&part.name) {
                return opaque("a part that is not UTF-8");
            }
            continue;
        };
        if is_operations(part) {
            let found = from_json(text, body, beside)?;
            if plain && beside.is_empty() {
                return Ok(found);
            }
            match found {
                Envelope::Documents { elements, .. } | Envelope::Doubtful { elements, .. } => {
                    all.extend(elements);
                }
                Envelope::Opaque { .. } => return Ok(found),
            }
        } else if is_key(&part.name) {
            pairs.push((part.name.clone(), text.to_owned()));
        }
    }
    // Some servers take such parts as the fields of a form.
    if !pairs.is_empty() {
        match reading::read(&fields_of(&pairs), beside)? {
            Reading::Documents { elements, .. } => all.extend(elements),
            Reading::Opaque(because) => return opaque(because),
        }
    }
    if all.is_empty() {
        return opaque("a multipart body without operations");
    }
    for element in &mut all {
        element.files = files;
    }
    let found = Envelope::Documents { elements: all, batch: false };
    let because = "a multipart request is sent on only as one part `operations` without files";
    doubtful(found, Doubt::Invalid(because), body)
}

fn is_operations(part: &FormPart<'_>) -> bool {
    part.name.eq_ignore_ascii_case(OPERATIONS)
}

fn is_map(part: &FormPart<'_>) -> bool {
    part.name == MAP
        && !part.is_file
        && body::text(part.content)
            .and_then(|text| Json::parse(text).ok())
            .is_some_and(|map| map == Json::Object(Vec::new()))
}

fn is_plain(parts: &[FormPart<'_>]) -> bool {
    let exact = |part: &FormPart<'_>| {
        let kind = part.content_type.as_deref();
        part.name == OPERATIONS
            && !part.is_file
            && matches!(kind, None | Some("application/json" | "text/plain"))
    };
    match parts {
        [only] => exact(only),
        [one, other] => exact(one) && is_map(other) || is_map(one) && exact(other),
        _ => false,
    }
}

// A map that is not certain to be empty may put a file anywhere.
fn brings_files(parts: &[FormPart<'_>]) -> bool {
    parts.iter().any(|part| {
        let maps = part.name.eq_ignore_ascii_case(MAP) && !is_map(part);
        maps || (part.is_file && !is_operations(part))
    })
}

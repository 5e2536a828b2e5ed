//! What a request asks for, read as leniently as a permissive server reads it: the worst case for
//! whoever stands in front of it.

use std::collections::BTreeMap;
use std::io::Read as _;

use anyhow::Context as _;
use flate2::read::MultiGzDecoder;
use http::{HeaderMap, Method, Uri, header};
use serde_json::{Map, Value};
use url::form_urlencoded;

/// Bytes of a body after decompression.
const BODY_BYTES_MAX: u64 = 32 << 20;

/// One operation that a request asks for.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    pub(super) query: Option<String>,
    pub(super) operation_name: Option<String>,
    pub(super) variables: Map<String, Value>,
    /// The hash of a persisted document.
    pub(super) hash: Option<String>,
}

/// All that a request asks for.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) asked: Vec<Asked>,
    /// Whether the answer is a list.
    pub(super) batch: bool,
}

/// Reads the operations from a request.
pub(super) fn read(
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: &[u8],
) -> anyhow::Result<Request> {
    let from_query = parameters(uri.query().unwrap_or_default().as_bytes());
    if method == Method::GET || body.is_empty() {
        return Ok(Request { asked: vec![from_parameters(&from_query)?], batch: false });
    }
    let body = decompressed(headers, body)?;
    let text = String::from_utf8_lossy(&body);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    if kind.starts_with("multipart/form-data") {
        return from_json(&operations_part(text).context("no `operations` part")?);
    }
    if text.starts_with(['{', '[']) && !kind.starts_with("application/graphql") {
        return from_json(text);
    }
    if kind.starts_with("application/graphql") {
        let asked = Asked { query: Some(text.to_owned()), ..Asked::default() };
        return Ok(Request { asked: vec![asked], batch: false });
    }
    let form = parameters(text.as_bytes());
    Ok(Request { asked: vec![from_parameters(&form)?], batch: false })
}

fn decompressed(headers: &HeaderMap, body: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut body = body.to_vec();
    let codings = headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|coding| coding.trim().to_ascii_lowercase())
        .collect::<Vec<_>>();
    for coding in codings.iter().rev() {
        match coding.as_str() {
            "" | "identity" => {}
            "gzip" | "x-gzip" => {
                let mut plain = Vec::new();
                MultiGzDecoder::new(body.as_slice())
                    .take(BODY_BYTES_MAX)
                    .read_to_end(&mut plain)?;
                body = plain;
            }
            other => anyhow::bail!("content coding `{other}` is not understood"),
        }
    }
    Ok(body)
}

fn parameters(encoded: &[u8]) -> BTreeMap<String, String> {
    form_urlencoded::parse(encoded).into_owned().collect()
}

fn from_parameters(parameters: &BTreeMap<String, String>) -> anyhow::Result<Asked> {
    let json = |name: &str| match parameters.get(name) {
        Some(text) => serde_json::from_str(text).with_context(|| format!("`{name}` is not JSON")),
        None => Ok(Value::Null),
    };
    let text = |name: &str| parameters.get(name).cloned().map_or(Value::Null, Value::String);
    Ok(asked(&serde_json::json!({
        "query": text("query"), "operationName": text("operationName"),
        "variables": json("variables")?, "extensions": json("extensions")?,
    })))
}

fn from_json(text: &str) -> anyhow::Result<Request> {
    let value: Value = serde_json::from_str(text).context("the body is not JSON")?;
    Ok(match value.as_array() {
        Some(items) => Request { asked: items.iter().map(asked).collect(), batch: true },
        None => Request { asked: vec![asked(&value)], batch: false },
    })
}

fn asked(value: &Value) -> Asked {
    let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    let hash = value.pointer("/extensions/persistedQuery/sha256Hash").and_then(Value::as_str);
    Asked {
        query: text("query"),
        operation_name: text("operationName").filter(|name| !name.is_empty()),
        variables: value.get("variables").and_then(Value::as_object).cloned().unwrap_or_default(),
        hash: hash.map(str::to_owned),
    }
}

/// Finds the last `operations` part of a multipart body.
fn operations_part(body: &str) -> Option<String> {
    let boundary = body.lines().next()?.trim_end();
    let part = body.split(boundary).filter(|part| part.contains("name=\"operations\"")).last()?;
    let (_, content) = part.split_once("\r\n\r\n").or_else(|| part.split_once("\n\n"))?;
    Some(content.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_post(kind: Option<&str>, body: &str) -> Request {
        let mut headers = HeaderMap::new();
        if let Some(kind) = kind {
            headers.insert(header::CONTENT_TYPE, kind.parse().unwrap());
        }
        read(&Method::POST, &Uri::from_static("/graphql/v2"), &headers, body.as_bytes()).unwrap()
    }

    #[test]
    fn the_same_mutation_is_found_however_it_is_packed() {
        let query = "mutation{volumeDelete(volumeId:\"v\")}";
        let json = serde_json::json!({ "query": query }).to_string();
        let multipart = format!(
            "--x\r\nContent-Disposition: form-data; name=\"operations\"\r\n\r\n{json}\r\n--x--"
        );
        let form: String =
            form_urlencoded::Serializer::new(String::new()).append_pair("query", query).finish();
        let cases = [
            (Some("application/json"), json.clone()),
            (None, json.clone()),
            (Some("application/x-www-form-urlencoded"), json.clone()),
            (Some("application/json"), format!("\u{feff}{json}")),
            (Some("application/x-www-form-urlencoded"), form),
            (Some("application/graphql"), query.to_owned()),
            (Some("multipart/form-data; boundary=x"), multipart),
        ];
        for (kind, body) in cases {
            let request = read_post(kind, &body);
            assert_eq!(request.asked.len(), 1, "{kind:?}");
            assert_eq!(request.asked[0].query.as_deref(), Some(query), "{kind:?}");
        }
    }

    #[test]
    fn the_last_of_two_keys_wins_as_in_most_servers() {
        let request = read_post(None, r#"{"query":"{me{id}}","query":"mutation{x}"}"#);
        assert_eq!(request.asked[0].query.as_deref(), Some("mutation{x}"));
    }
}

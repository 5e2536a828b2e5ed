//! Requests written down as JSON, for explaining a judgement without sending anything.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use killick_model::admin::Upstream;
use killick_model::{EffectWord, Refusal, UpstreamName};
use serde_json::Value;

use crate::head::{Authority, check};
use crate::judge::{Judged, RequestView, judge};
use crate::pack::PackSet;

/// The most bytes that a `PAD:n` in a body is expanded to.
const PAD_BYTES_MAX: usize = 16 << 20;

/// What a request would do, in few words.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Told {
    /// The effect in one word.
    pub effect: EffectWord,
    /// Whether nothing brings it back.
    pub irreversible: bool,
    /// Whether it is not limited to what it names.
    pub unbounded: bool,
    /// What it touches, as `kind:id`.
    pub objects: Vec<String>,
}

impl Told {
    /// Returns what is told of a request that is refused before it can be judged.
    #[must_use]
    pub fn refused() -> Self {
        Self {
            effect: EffectWord::Unrecognized,
            irreversible: true,
            unbounded: true,
            objects: Vec::new(),
        }
    }
}

impl From<&Judged> for Told {
    fn from(judged: &Judged) -> Self {
        Self {
            effect: judged.action.effect().word(),
            irreversible: judged.action.irreversible(),
            unbounded: judged.action.unbounded(),
            objects: judged
                .action
                .objects()
                .into_iter()
                .map(killick_model::ObjectRef::label)
                .collect(),
        }
    }
}

/// Judges a written request against an upstream: the same checks and the same judgement as on the
/// wire. Without an upstream it is judged by the pack of its host, if there is one.
///
/// # Errors
/// The request would be refused before it is judged.
pub fn explain(
    packs: &PackSet,
    upstream: Option<&Upstream>,
    request: &RequestView,
) -> Result<Judged, Refusal> {
    let connection = Authority::parse(&request.host, request.port)?;
    check(request, &connection)?;
    match upstream {
        Some(upstream) => judge(packs, upstream, request),
        None => judge(packs, &undeclared(packs, &connection, request.tls)?, request),
    }
}

/// Tells what a written request would do; a refused one is the worst it could be.
#[must_use]
pub fn judge_effect(packs: &PackSet, request: &RequestView) -> Told {
    explain(packs, None, request).as_ref().map_or_else(|_| Told::refused(), Told::from)
}

fn undeclared(packs: &PackSet, connection: &Authority, tls: bool) -> Result<Upstream, Refusal> {
    let pack = packs.for_host(&connection.host, connection.port);
    let name = pack.map_or("undeclared", |pack| pack.name.as_str());
    let name = UpstreamName::parse(name).map_err(|error| {
        Refusal::new(killick_model::Code::UndeclaredUpstream, error.to_string())
    })?;
    Ok(Upstream {
        name,
        hosts: vec![connection.host.clone()],
        port: connection.port,
        tls,
        pack: pack.map(|pack| pack.name.clone()),
        declared: None,
        model_provider: false,
        dial: None,
        writes_by_method: false,
        private_address: false,
    })
}

/// Reads one written request: `{"input": {method, host, path, headers, body}}`, with
/// `context.body_encoding = "base64"` or a `base64:` prefix where the body is not text, or
/// `{"request": {"kind": "http", method, url, headers, body}}`.
///
/// # Errors
/// Says which key is missing or is not what it should be.
pub fn read(line: &Value) -> Result<RequestView, String> {
    let context = line.get("context");
    if let Some(input) = line.get("input") {
        let host = text(input, "host")?;
        return view(input, true, host, text(input, "path")?, context);
    }
    let request = line.get("request").unwrap_or(line);
    let url = text(request, "url")?;
    let (scheme, rest) = url.split_once("://").ok_or_else(|| "`url` has no scheme".to_owned())?;
    let split = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (host, path) = rest.split_at_checked(split).unwrap_or((rest, ""));
    let path = if path.is_empty() { "/" } else { path };
    view(request, scheme.eq_ignore_ascii_case("https"), host, path, context)
}

fn text<'a>(value: &'a Value, key: &str) -> Result<&'a str, String> {
    value.get(key).and_then(Value::as_str).ok_or_else(|| format!("`{key}` is missing or no text"))
}

fn view(
    input: &Value,
    tls: bool,
    host: &str,
    target: &str,
    context: Option<&Value>,
) -> Result<RequestView, String> {
    let mut headers = headers(input)?;
    if !headers.iter().any(|(name, _)| name == "host") {
        headers.push(("host".into(), host.as_bytes().to_vec()));
    }
    // What is no plain name and port is kept as it is, and refused where heads are checked.
    let (host, port) = match host.rsplit_once(':').map(|(host, port)| (host, port.parse::<u16>())) {
        Some((name, Ok(port))) if !name.contains(':') => (name, port),
        Some(_) | None => (host, if tls { 443 } else { 80 }),
    };
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path.to_owned(), Some(query.to_owned())),
        None => (target.to_owned(), None),
    };
    Ok(RequestView {
        tls,
        method: text(input, "method")?.to_owned(),
        host: host.to_owned(),
        port,
        path,
        query,
        headers,
        body: body(input, context)?,
        body_complete: true,
    })
}

fn headers(input: &Value) -> Result<Vec<(String, Vec<u8>)>, String> {
    let mut found = Vec::new();
    match input.get("headers") {
        None | Some(Value::Null) => {}
        Some(Value::Object(headers)) => {
            for (name, value) in headers {
                let value = value.as_str().ok_or_else(|| format!("header `{name}` is no text"))?;
                found.push((name.to_ascii_lowercase(), value.as_bytes().to_vec()));
            }
        }
        Some(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
            return Err("`headers` is no object".into());
        }
    }
    Ok(found)
}

fn body(input: &Value, context: Option<&Value>) -> Result<Bytes, String> {
    let text = match input.get("body") {
        None | Some(Value::Null) => return Ok(Bytes::new()),
        Some(Value::String(text)) => text,
        Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            return Err("`body` is no text".into());
        }
    };
    let says_base64 = context
        .and_then(|context| context.get("body_encoding"))
        .and_then(Value::as_str)
        .is_some_and(|encoding| encoding == "base64");
    match text.strip_prefix("base64:") {
        Some(encoded) => decode(encoded),
        None if says_base64 => decode(text),
        None => Ok(Bytes::from(expand(text))),
    }
}

fn decode(encoded: &str) -> Result<Bytes, String> {
    STANDARD.decode(encoded).map(Bytes::from).map_err(|_| "`body` is no base64".into())
}

// `PAD:n` stands for n bytes, so that a large body fits on one line.
fn expand(text: &str) -> String {
    let Some((before, after)) = text.split_once("PAD:") else { return text.to_owned() };
    let digits = after.bytes().take_while(u8::is_ascii_digit).count();
    let Some((number, rest)) = after.split_at_checked(digits) else { return text.to_owned() };
    match number.parse::<usize>() {
        Ok(bytes) if bytes <= PAD_BYTES_MAX => format!("{before}{}{rest}", "x".repeat(bytes)),
        Ok(_) | Err(_) => text.to_owned(),
    }
}

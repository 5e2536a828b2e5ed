//! Requests as an agent might send them, and what their credentials come to.

mod benign;
mod bodies;
mod classes;
mod heads;
mod removal;

use bytes::Bytes;
use killick_model::CredentialName;

use super::{
    CredentialVerdict, Place, Positions, Recognise, Recognised, Sighting, classify, sightings,
};
use crate::judge::RequestView;

/// A token of the provider in the story: a bare UUID, found in an unrelated file.
const STRAY: &str = "8f0c3c4e-9d1b-4a57-b6de-0f3a5f1c2d7e";
/// The placeholder that the agent holds instead.
const ISSUED: &str = "1b4e28ba-2fa1-41d2-883f-0016d3cca427";
/// A placeholder of another session.
const ELSEWHERE: &str = "5a1f7c33-77a0-4f0e-9c57-1d2a9b7e4411";
/// The agent's own login.
const OWN: &str = "own-login-9Xk2Lm4Qp7";
/// What the upstream handed this session.
const DERIVED: &str = "derived-cookie-7Hq2Zt9B";
/// A credential that was refused before.
const KNOWN: &str = "0a6d8ec1-52b0-4c1e-a2ce-91b7f6f4a9d0";

struct Vault;

impl Recognise for Vault {
    fn recognise(&self, bytes: &[u8]) -> Recognised {
        match std::str::from_utf8(bytes) {
            Ok(ISSUED) => Recognised::IssuedHere { credential: credential() },
            Ok(ELSEWHERE) => Recognised::IssuedElsewhere,
            Ok(OWN) => Recognised::Own,
            Ok(DERIVED) => Recognised::Derived,
            Ok(KNOWN) => Recognised::KnownForeign,
            Ok(_) | Err(_) => Recognised::Unknown,
        }
    }
}

fn credential() -> CredentialName {
    CredentialName::parse("railway").unwrap()
}

fn positions() -> Positions {
    Positions {
        headers: vec!["project-access-token".into()],
        query: vec!["deploy".into()],
        body: vec!["githubPat".into()],
    }
}

fn get(target: &str) -> RequestView {
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (target, None),
    };
    RequestView {
        tls: true,
        method: "GET".into(),
        host: "backboard.railway.app".into(),
        port: 443,
        path: path.into(),
        query,
        headers: vec![("host".into(), b"backboard.railway.app".to_vec())],
        body: Bytes::new(),
        body_complete: true,
    }
}

fn with(headers: &[(&str, &str)]) -> RequestView {
    let mut view = get("/graphql/v2");
    for (name, value) in headers {
        view.headers.push(((*name).into(), value.as_bytes().to_vec()));
    }
    view
}

fn post(content_type: &str, body: impl Into<Bytes>) -> RequestView {
    let mut view = get("/graphql/v2");
    view.method = "POST".into();
    if !content_type.is_empty() {
        view.headers.push(("content-type".into(), content_type.as_bytes().to_vec()));
    }
    view.body = body.into();
    view
}

fn json(body: &str) -> RequestView {
    post("application/json", body.to_owned())
}

fn look(view: &RequestView) -> Vec<Sighting> {
    sightings(view, &positions())
}

fn verdict(view: &RequestView) -> CredentialVerdict {
    classify(&look(view), &Vault)
}

/// Returns where a foreign credential is seen; empty when the verdict is another.
fn foreign(view: &RequestView) -> Vec<String> {
    match verdict(view) {
        CredentialVerdict::Foreign { places, .. } => places.iter().map(Place::to_string).collect(),
        CredentialVerdict::Clean
        | CredentialVerdict::Good { .. }
        | CredentialVerdict::Misplaced { .. } => Vec::new(),
    }
}

fn is_misplaced(view: &RequestView) -> bool {
    matches!(verdict(view), CredentialVerdict::Misplaced { .. })
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

fn gzip(body: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

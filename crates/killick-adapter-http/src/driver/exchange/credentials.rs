//! Issued, own, derived, foreign: what the agent's request carries, and what the answer hands out.

use std::sync::Arc;

use http::header;
use killick_gate::LiveSession;
use killick_gate::ports::{Recognised as Known, Vault};
use killick_model::{Code, Refusal, SessionId, UpstreamName};
use zeroize::Zeroizing;

use super::super::HttpAdapter;
use super::{Addressed, note_redaction, pack_of};
use crate::credential::{
    CredentialVerdict, Place, Positions, Recognise, Recognised, Sighting, classify, sightings,
    without_credentials,
};
use crate::judge::RequestView;

/// A request without what must not leave.
pub(super) struct Cleared {
    pub(super) view: RequestView,
    /// Own and derived credentials, as header name and value.
    pub(super) kept: Vec<(String, Zeroizing<Vec<u8>>)>,
    /// Whether the bound credential is put in.
    pub(super) inject: bool,
}

/// The vault's knowledge, narrowed to one session at one upstream.
struct Here<'a> {
    vault: &'a dyn Vault,
    session: &'a SessionId,
    upstream: &'a UpstreamName,
    host: &'a str,
}

impl Recognise for Here<'_> {
    fn recognise(&self, bytes: &[u8]) -> Recognised {
        match self.vault.recognise(self.session, bytes) {
            Known::Issued { credential, upstream } if upstream == *self.upstream => {
                Recognised::IssuedHere { credential }
            }
            Known::Issued { .. }
            | Known::IssuedElsewhere
            | Known::SessionToken
            | Known::OtherSessionToken => Recognised::IssuedElsewhere,
            Known::Own { upstream } if upstream == *self.upstream => Recognised::Own,
            Known::Derived { host } if host == self.host => Recognised::Derived,
            Known::Own { .. } | Known::Derived { .. } | Known::KnownForeign => {
                Recognised::KnownForeign
            }
            Known::Unknown => Recognised::Unknown,
        }
    }
}

/// Looks at everything that stands where a credential stands, and takes it out.
pub(super) async fn clear(
    adapter: &Arc<HttpAdapter>,
    addressed: &Addressed,
    view: &RequestView,
) -> Result<Cleared, Refusal> {
    let nothing = Positions::default();
    let positions = pack_of(adapter, &addressed.upstream).map_or(&nothing, |pack| &pack.positions);
    let here = Here {
        vault: adapter.vault.as_ref(),
        session: &addressed.live.principal.session,
        upstream: &addressed.upstream.name,
        host: &addressed.authority.host,
    };
    let mut seen = sightings(view, positions);
    let mut view = view.clone();
    if addressed.upstream.model_provider {
        seen = redacted(adapter, addressed, &mut view, positions, &here, seen).await?;
    }
    match classify(&seen, &here) {
        CredentialVerdict::Clean => {
            Ok(Cleared { view, kept: Vec::new(), inject: bound(adapter, addressed, &[]) })
        }
        CredentialVerdict::Good { issued, keep } => {
            let kept = kept_headers(&view, &seen, &keep);
            let inject = kept.is_empty() || !issued.is_empty();
            let view = without_credentials(&view, positions);
            Ok(Cleared { view, kept, inject: inject && bound(adapter, addressed, &issued) })
        }
        CredentialVerdict::Foreign { places, sightings } => {
            remember(adapter, addressed, &seen, &sightings);
            Err(foreign(&places))
        }
        CredentialVerdict::Misplaced { places } => Err(Refusal::new(
            Code::MisplacedSurrogate,
            format!(
                "the placeholder in {} belongs to another session or another upstream",
                listed(&places)
            ),
        )),
    }
}

/// Takes known credentials out of the body of a call to a model provider, and returns what was seen in its head.
/// What cannot be taken out (escaped, packed) is foreign like everywhere else.
async fn redacted(
    adapter: &Arc<HttpAdapter>,
    addressed: &Addressed,
    view: &mut RequestView,
    positions: &Positions,
    here: &Here<'_>,
    seen: Vec<Sighting>,
) -> Result<Vec<Sighting>, Refusal> {
    let is_known = |sighting: &Sighting| {
        matches!(
            here.recognise(&sighting.bytes),
            Recognised::KnownForeign | Recognised::IssuedElsewhere
        )
    };
    let in_body = |all: Vec<Sighting>| -> (Vec<Sighting>, Vec<Sighting>) {
        all.into_iter().partition(|sighting| !sighting.place.is_in_body())
    };
    let (head, body) = in_body(seen);
    let known: Vec<Sighting> = body.into_iter().filter(is_known).collect();
    if known.is_empty() {
        return Ok(head);
    }
    view.body = redact(&crate::body::decode(view)?, &known);
    view.headers.retain(|(name, _)| name != "content-encoding");
    let (_, left) = in_body(sightings(view, positions));
    let left: Vec<Place> =
        left.into_iter().filter(is_known).map(|sighting| sighting.place).collect();
    if !left.is_empty() {
        return Err(foreign(&left));
    }
    let places = known.iter().map(|sighting| sighting.place.to_string()).collect();
    note_redaction(adapter, addressed, places).await?;
    Ok(head)
}

/// Returns whether there is a credential to put in. A surrogate needs one; without any, the call goes as it is.
fn bound(
    adapter: &HttpAdapter,
    addressed: &Addressed,
    issued: &[killick_model::CredentialName],
) -> bool {
    !issued.is_empty()
        || adapter.vault.bound(&addressed.upstream.name, &addressed.path).is_some_and(|i| !i.own)
}

fn remember(adapter: &HttpAdapter, addressed: &Addressed, seen: &[Sighting], foreign: &[usize]) {
    let Ok(call) = killick_gate::ids::call_id() else { return };
    for sighting in foreign.iter().filter_map(|at| seen.get(*at)) {
        let remembered = adapter.vault.remember_foreign(
            adapter.vault.fingerprint(&sighting.bytes),
            &addressed.live.principal.session,
            &sighting.place.to_string(),
            &call,
            adapter.gate.now(),
        );
        if let Err(error) = remembered {
            tracing::warn!(%error, "a foreign credential could not be fingerprinted");
        }
    }
}

fn foreign(places: &[Place]) -> Refusal {
    Refusal::new(
        Code::ForeignCredential,
        format!("a credential that this gateway did not issue was found in {}", listed(places)),
    )
}

fn listed(places: &[Place]) -> String {
    places.iter().map(|place| format!("`{place}`")).collect::<Vec<_>>().join(", ")
}

/// Returns the headers whose credentials pass as they are. A cookie header keeps only the cookies that do.
fn kept_headers(
    view: &RequestView,
    seen: &[Sighting],
    keep: &[usize],
) -> Vec<(String, Zeroizing<Vec<u8>>)> {
    let mut kept: Vec<(String, Zeroizing<Vec<u8>>)> = Vec::new();
    let mut cookies = Zeroizing::new(Vec::new());
    for sighting in keep.iter().filter_map(|at| seen.get(*at)) {
        match &sighting.place {
            Place::Cookie(name) => {
                if !cookies.is_empty() {
                    cookies.extend_from_slice(b"; ");
                }
                cookies.extend_from_slice(name.as_bytes());
                cookies.push(b'=');
                cookies.extend_from_slice(&sighting.bytes);
            }
            Place::Authorization { header, .. }
            | Place::Header(header)
            | Place::UnknownHeader(header) => {
                let there = kept.iter().any(|(name, _)| name == header);
                if let (false, Some(value)) = (there, view.header(header).next()) {
                    kept.push((header.clone(), Zeroizing::new(value.to_vec())));
                }
            }
            // Own logins stand in headers; anything else of the agent's own is taken out.
            Place::UserInfo
            | Place::Query(_)
            | Place::BodyKey(_)
            | Place::BodyShape(_)
            | Place::BodyWord(_) => {}
        }
    }
    if !cookies.is_empty() {
        kept.push(("cookie".into(), cookies));
    }
    kept
}

/// Returns the body with every known credential replaced. Longest first, so that no part of one stays.
fn redact(body: &[u8], known: &[Sighting]) -> bytes::Bytes {
    let mut values: Vec<&[u8]> = known.iter().map(|sighting| sighting.bytes.as_slice()).collect();
    values.sort_by_key(|value| std::cmp::Reverse(value.len()));
    let mut text = body.to_vec();
    for value in values.into_iter().filter(|value| !value.is_empty()) {
        let mut out = Vec::with_capacity(text.len());
        let mut rest = text.as_slice();
        while let Some(at) = rest.windows(value.len()).position(|window| window == value) {
            out.extend_from_slice(rest.get(..at).unwrap_or_default());
            out.extend_from_slice(b"[redacted by killick]");
            rest = rest.get(at.saturating_add(value.len())..).unwrap_or_default();
        }
        out.extend_from_slice(rest);
        text = out;
    }
    text.into()
}

/// Takes out of an answer's head what is the hop's own, and remembers cookies as derived credentials.
pub(super) fn clear_answer(
    adapter: &HttpAdapter,
    live: &LiveSession,
    host: &str,
    parts: &mut http::response::Parts,
) -> Result<(), Refusal> {
    for name in [
        header::CONNECTION,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        header::TRAILER,
        header::PROXY_AUTHENTICATE,
        header::ALT_SVC,
    ] {
        parts.headers.remove(name);
    }
    parts.headers.remove("keep-alive");
    parts.headers.remove("proxy-connection");
    for value in parts.headers.get_all(header::SET_COOKIE) {
        let pair = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
        if let Some(at) = pair.iter().position(|byte| *byte == b'=') {
            let cookie = pair.get(at.saturating_add(1)..).unwrap_or_default();
            if let Err(error) =
                adapter.vault.remember_derived(&live.principal.session, host, cookie)
            {
                tracing::warn!(%error, "a cookie could not be remembered; it will count as foreign");
            }
        }
    }
    let leaks = parts.headers.values().any(|value| adapter.vault.leaks(value.as_bytes()));
    if leaks {
        return Err(Refusal {
            not_done: "the call was sent; its answer is withheld".into(),
            ..Refusal::new(
                Code::Forbidden,
                "a header of the answer carries a credential of the gateway",
            )
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_credential_is_taken_out_wherever_it_stands_and_as_often() {
        let known = [Sighting {
            place: Place::BodyWord("$.m".into()),
            bytes: Zeroizing::new(b"sk-123".to_vec()),
        }];
        let body = redact(b"{\"m\":\"use sk-123, really sk-123\"}", &known);
        assert_eq!(
            &body[..],
            b"{\"m\":\"use [redacted by killick], really [redacted by killick]\"}"
        );
    }
}

//! The canonical bytes: a version line, then JSON with sorted keys, no blanks, and no field that is absent.

use serde::{Deserialize, Serialize};

use super::{Commitment, Entry, EntryError, Header, Kind, Subject, Timeless};

const PREFIX: &[u8] = b"killick-entry/";
const TIME_KEY: &[u8] = b",\"time_unix_ms\":";
const TIME_PLACEHOLDER: &[u8] = b"18446744073709551615";
/// Bytes of most entries.
const ENTRY_BYTES_USUAL: usize = 768;
/// Digits of a version that are looked at.
const VERSION_BYTES_MAX: usize = 20;

/// The fields in the order of their names: the order is the format, keep it. Texts are owned when read and borrowed
/// when written.
#[derive(Serialize, Deserialize)]
#[serde(
    deny_unknown_fields,
    bound(
        serialize = "T: Serialize, L: Serialize + Listed",
        deserialize = "T: Deserialize<'de>, L: Deserialize<'de> + Default"
    )
)]
struct Wire<T, L> {
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    action: Option<T>,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    agent: Option<T>,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    by: Option<T>,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    call: Option<T>,
    #[serde(default, skip_serializing_if = "Listed::is_empty")]
    chain: L,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    credential: Option<T>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    details_commitment: Option<String>,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    effect: Option<T>,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    environment: Option<T>,
    kind: T,
    node: T,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    objects: Option<u64>,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    outcome: Option<T>,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    owner: Option<WireSubject<T>>,
    #[serde(default, skip_serializing_if = "Listed::is_empty")]
    policies: L,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    reason: Option<T>,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    session: Option<T>,
    tenant: T,
    time_unix_ms: u64,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    upstream: Option<T>,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    verdict: Option<T>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireSubject<T> {
    issuer: T,
    subject: T,
}

fn none<T>() -> Option<T> {
    None
}

/// A list of texts, owned or borrowed.
trait Listed {
    fn is_empty(&self) -> bool;
}

impl Listed for Vec<String> {
    fn is_empty(&self) -> bool {
        Self::is_empty(self)
    }
}

impl Listed for &[String] {
    fn is_empty(&self) -> bool {
        <[String]>::is_empty(self)
    }
}

type Written<'a> = Wire<&'a str, &'a [String]>;
type Found = Wire<String, Vec<String>>;

pub(super) fn encode(entry: &Entry) -> Result<Vec<u8>, EntryError> {
    let mut bytes = Vec::with_capacity(ENTRY_BYTES_USUAL);
    bytes.extend_from_slice(PREFIX);
    bytes.extend_from_slice(Entry::VERSION.to_string().as_bytes());
    bytes.push(b'\n');
    serde_json::to_writer(&mut bytes, &Written::from(entry)).map_err(|_| EntryError::Form)?;
    Ok(bytes)
}

pub(super) fn decode(bytes: &[u8]) -> Result<Entry, EntryError> {
    let rest = bytes.strip_prefix(PREFIX).ok_or(EntryError::NotAnEntry)?;
    let end = rest
        .iter()
        .take(VERSION_BYTES_MAX)
        .position(|byte| *byte == b'\n')
        .ok_or(EntryError::NotAnEntry)?;
    let (version, json) = rest.split_at_checked(end).ok_or(EntryError::NotAnEntry)?;
    if version != Entry::VERSION.to_string().as_bytes() {
        let version = String::from_utf8_lossy(version).escape_debug().to_string();
        return Err(EntryError::UnknownVersion { version });
    }
    let json = json.strip_prefix(b"\n").ok_or(EntryError::NotAnEntry)?;
    let wire: Found = serde_json::from_slice(json).map_err(|_| EntryError::Form)?;
    wire.try_into()
}

/// Splits bytes that were encoded with the placeholder as their time.
///
/// The key cannot occur in a text, where its quotation marks would stand behind backslashes.
pub(super) fn split_at_time(mut bytes: Vec<u8>) -> Result<Timeless, EntryError> {
    let at = bytes
        .windows(TIME_KEY.len())
        .position(|window| window == TIME_KEY)
        .ok_or(EntryError::Form)?
        .saturating_add(TIME_KEY.len());
    let rest = bytes.get(at..).ok_or(EntryError::Form)?;
    let after = rest.strip_prefix(TIME_PLACEHOLDER).ok_or(EntryError::Form)?.to_vec();
    bytes.truncate(at);
    Ok(Timeless { before: bytes, after })
}

impl<'a> From<&'a Entry> for Written<'a> {
    fn from(entry: &'a Entry) -> Self {
        let Header {
            kind,
            call,
            session,
            agent,
            owner,
            by,
            chain,
            action,
            effect,
            verdict,
            environment,
            upstream,
            credential,
            reason,
            outcome,
            policies,
            objects,
        } = &entry.header;
        Self {
            action: action.as_deref(),
            agent: agent.as_deref(),
            by: by.as_deref(),
            call: call.as_deref(),
            chain,
            credential: credential.as_deref(),
            details_commitment: entry.details_commitment.map(Commitment::to_hex),
            effect: effect.as_deref(),
            environment: environment.as_deref(),
            kind: kind.as_str(),
            node: &entry.node,
            objects: *objects,
            outcome: outcome.as_deref(),
            owner: owner.as_ref().map(|Subject { issuer, subject }| WireSubject {
                issuer: issuer.as_str(),
                subject: subject.as_str(),
            }),
            policies,
            reason: reason.as_deref(),
            session: session.as_deref(),
            tenant: &entry.tenant,
            time_unix_ms: entry.time_unix_ms,
            upstream: upstream.as_deref(),
            verdict: verdict.as_deref(),
        }
    }
}

impl TryFrom<Found> for Entry {
    type Error = EntryError;

    fn try_from(wire: Found) -> Result<Self, EntryError> {
        let details_commitment = match wire.details_commitment {
            Some(text) => Some(Commitment::from_hex(&text).ok_or(EntryError::Form)?),
            None => None,
        };
        let header = Header {
            kind: Kind::parse(&wire.kind).ok_or(EntryError::UnknownKind)?,
            call: wire.call,
            session: wire.session,
            agent: wire.agent,
            owner: wire.owner.map(|WireSubject { issuer, subject }| Subject { issuer, subject }),
            by: wire.by,
            chain: wire.chain,
            action: wire.action,
            effect: wire.effect,
            verdict: wire.verdict,
            environment: wire.environment,
            upstream: wire.upstream,
            credential: wire.credential,
            reason: wire.reason,
            outcome: wire.outcome,
            policies: wire.policies,
            objects: wire.objects,
        };
        Ok(Self {
            tenant: wire.tenant,
            node: wire.node,
            time_unix_ms: wire.time_unix_ms,
            header,
            details_commitment,
        })
    }
}

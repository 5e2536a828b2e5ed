//! The canonical bytes: a version line, then JSON with sorted keys, no blanks, and no field that is absent.

use serde::{Deserialize, Serialize};

use super::{Commitment, Entry, EntryError, Header, Kind, Subject, Timeless};

const PREFIX: &[u8] = b"killick-entry/";
const TIME_KEY: &[u8] = b",\"time_unix_ms\":";
const TIME_PLACEHOLDER: &[u8] = b"18446744073709551615";
/// Digits of a version that are looked at.
const VERSION_BYTES_MAX: usize = 20;

/// The fields in the order of their names: the order is the format, keep it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    action: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    agent: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    call: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    chain: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    credential: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    details_commitment: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    effect: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    environment: Option<String>,
    kind: String,
    node: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    objects: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outcome: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owner: Option<WireSubject>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    policies: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    tenant: String,
    time_unix_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    upstream: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    verdict: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireSubject {
    issuer: String,
    subject: String,
}

pub(super) fn encode(entry: &Entry) -> Result<Vec<u8>, EntryError> {
    let mut bytes = PREFIX.to_vec();
    bytes.extend_from_slice(Entry::VERSION.to_string().as_bytes());
    bytes.push(b'\n');
    serde_json::to_writer(&mut bytes, &Wire::from(entry.clone())).map_err(|_| EntryError::Form)?;
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
    let wire: Wire = serde_json::from_slice(json).map_err(|_| EntryError::Form)?;
    wire.try_into()
}

/// Splits bytes that were encoded with the placeholder as their time.
///
/// The key cannot occur in a text, where its quotation marks would stand behind backslashes.
pub(super) fn split_at_time(bytes: &[u8]) -> Result<Timeless, EntryError> {
    let at = bytes
        .windows(TIME_KEY.len())
        .position(|window| window == TIME_KEY)
        .ok_or(EntryError::Form)?
        .saturating_add(TIME_KEY.len());
    let (before, rest) = bytes.split_at_checked(at).ok_or(EntryError::Form)?;
    let after = rest.strip_prefix(TIME_PLACEHOLDER).ok_or(EntryError::Form)?;
    Ok(Timeless { before: before.to_vec(), after: after.to_vec() })
}

impl From<Entry> for Wire {
    fn from(entry: Entry) -> Self {
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
        } = entry.header;
        Self {
            action,
            agent,
            by,
            call,
            chain,
            credential,
            details_commitment: entry.details_commitment.map(Commitment::to_hex),
            effect,
            environment,
            kind: kind.as_str().to_owned(),
            node: entry.node,
            objects,
            outcome,
            owner: owner.map(|Subject { issuer, subject }| WireSubject { issuer, subject }),
            policies,
            reason,
            session,
            tenant: entry.tenant,
            time_unix_ms: entry.time_unix_ms,
            upstream,
            verdict,
        }
    }
}

impl TryFrom<Wire> for Entry {
    type Error = EntryError;

    fn try_from(wire: Wire) -> Result<Self, EntryError> {
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

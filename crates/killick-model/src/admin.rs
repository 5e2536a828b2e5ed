//! What the administration point keeps: agents, sessions, upstreams, credentials.

use std::collections::BTreeSet;

use hmac::{Hmac, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::environment::Tier;
use crate::id::{AgentName, CredentialName, UpstreamName};
use crate::principal::{Owner, Principal};
use crate::time::UnixMillis;

/// An agent's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// Nothing against it.
    Good,
    /// Observed more closely.
    Watched,
    /// Nothing of it passes.
    Frozen,
}

/// An agent: an identity of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// Its name.
    pub name: AgentName,
    /// The human who answers for it.
    pub owner: Owner,
    /// Its groups.
    pub groups: BTreeSet<String>,
    /// Its state.
    pub standing: Standing,
    /// When it was added.
    pub added: UnixMillis,
}

/// A session as it is stored. The token is not here, only its hash is, in the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Who it is in decisions.
    pub principal: Principal,
    /// When it was opened.
    pub opened: UnixMillis,
    /// When it was closed before its time.
    pub closed: Option<UnixMillis>,
    /// What proves the token in an exchange that never shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verifier: Option<ScramVerifier>,
}

/// What a server keeps to check a password by SCRAM-SHA-256 (RFC 5802, RFC 7677) without knowing it.
/// The password is a token of 256 random bits, so the verifier is no way back to it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScramVerifier {
    /// The salt.
    pub salt: Vec<u8>,
    /// How often the hash is run.
    pub iterations: u32,
    /// `H(ClientKey)`, 32 bytes.
    pub stored_key: Vec<u8>,
    /// `HMAC(SaltedPassword, "Server Key")`, 32 bytes.
    pub server_key: Vec<u8>,
}

impl ScramVerifier {
    /// Rounds of the hash; the least that RFC 7677 allows, since the token cannot be guessed.
    pub const ITERATIONS: u32 = 4_096;

    /// Returns the verifier of a token (RFC 5802, section 3). The token is ASCII, which `SASLprep` leaves as it is.
    #[must_use]
    pub fn of(token: &[u8], salt: &[u8]) -> Self {
        let salted = Self::salted(token, salt, Self::ITERATIONS);
        Self {
            salt: salt.to_vec(),
            iterations: Self::ITERATIONS,
            stored_key: Sha256::digest(Self::keyed(&salted, b"Client Key")).to_vec(),
            server_key: Self::keyed(&salted, b"Server Key").to_vec(),
        }
    }

    /// Returns `Hi(password, salt, iterations)`: PBKDF2 with HMAC-SHA-256 and one block.
    #[must_use]
    pub fn salted(password: &[u8], salt: &[u8], iterations: u32) -> [u8; 32] {
        let mut message = salt.to_vec();
        message.extend_from_slice(&1_u32.to_be_bytes());
        let mut last = Self::keyed(password, &message);
        let mut sum = last;
        for _ in 1..iterations {
            last = Self::keyed(password, &last);
            for (to, from) in sum.iter_mut().zip(last) {
                *to ^= from;
            }
        }
        sum
    }

    /// Returns HMAC-SHA-256.
    #[must_use]
    pub fn keyed(key: &[u8], message: &[u8]) -> [u8; 32] {
        let Ok(mac) = Hmac::<Sha256>::new_from_slice(key) else {
            // HMAC takes a key of any length; without one nothing verifies.
            return [0; 32];
        };
        mac.chain_update(message).finalize().into_bytes().into()
    }
}

impl std::fmt::Debug for ScramVerifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ScramVerifier(..)")
    }
}

/// How a credential is put into a call.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Injection {
    /// `Authorization: Bearer VALUE`.
    Bearer,
    /// `Authorization: Basic base64(VALUE)`; the value is `user:password`.
    Basic,
    /// A header of its own.
    Header(String),
    /// A query parameter.
    Query(String),
    /// A cookie.
    Cookie(String),
    /// The password of a database login: the gateway proves it, an agent gets no placeholder for it.
    Password,
}

impl Injection {
    /// Parses `bearer`, `basic`, `header:NAME`, `query:NAME` or `cookie:NAME`.
    #[must_use]
    pub fn parse(raw: &str) -> Option<Self> {
        let token = |name: &str| {
            let good = !name.is_empty()
                && name.len() <= 80
                && name
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
            good.then(|| name.to_owned())
        };
        match raw.split_once(':') {
            None if raw == "bearer" => Some(Self::Bearer),
            None if raw == "basic" => Some(Self::Basic),
            Some(("header", name)) => token(name).map(|n| Self::Header(n.to_ascii_lowercase())),
            Some(("query", name)) => token(name).map(Self::Query),
            Some(("cookie", name)) => token(name).map(Self::Cookie),
            None | Some(_) => None,
        }
    }
}

/// What is known of a credential beside its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialInfo {
    /// Its name.
    pub name: CredentialName,
    /// The upstream it is good for.
    pub upstream: UpstreamName,
    /// Only paths that begin with this get it.
    pub path_prefix: String,
    /// How it is put into a call.
    pub injection: Injection,
    /// The shape of its surrogates, as the pack writes it.
    pub surrogate: String,
    /// Whether the agent itself logs in with it (a login at a model provider): passed on, not injected.
    pub own: bool,
    /// When it was added.
    pub added: UnixMillis,
    /// When its value was last replaced.
    pub rotated: Option<UnixMillis>,
}

/// A host that a human declared to be reachable.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a declaration of its own, named by a flag of its own"
)]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upstream {
    /// Its name.
    pub name: UpstreamName,
    /// Exact host names, lower case, all answering for the same API.
    pub hosts: Vec<String>,
    /// The port.
    pub port: u16,
    /// Whether it is spoken to in TLS.
    pub tls: bool,
    /// The pack that says what its calls mean.
    pub pack: Option<String>,
    /// What a human declared all its objects to be (`shared`, `development`).
    pub declared: Option<Tier>,
    /// Whether it is a model provider: a known credential in a body is redacted, not refused.
    pub model_provider: bool,
    /// Addresses to connect to instead of what the name resolves to (`127.0.0.1:8443`).
    pub dial: Option<String>,
    /// Whether writes by method are believed where no pack knows the operation.
    pub writes_by_method: bool,
    /// Whether the upstream may lie on loopback or in a private network.
    pub private_address: bool,
}

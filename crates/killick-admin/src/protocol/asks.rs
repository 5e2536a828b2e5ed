//! What people ask for: sessions, databases, upstreams, credentials.

use killick_model::database::{DatabaseLimits, DatabaseTls};
use killick_model::{
    AgentName, CredentialName, EnvironmentName, ObjectRef, Scope, Tier, UpstreamName,
};
use serde::{Deserialize, Serialize};

use crate::secret::Secret;

/// What a session is opened with.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionAsk {
    /// The agent.
    pub agent: AgentName,
    /// The environment that the task is in.
    pub environment: EnvironmentName,
    /// The task, in the owner's words.
    pub task: String,
    /// How long it lives.
    pub ttl_millis: u64,
    /// What it may at the most do.
    pub scope: Scope,
    /// Whether a fence leaves the agent no other way.
    pub fence: bool,
}

impl SessionAsk {
    /// How long a session lives unless somebody says otherwise.
    pub const TTL_MILLIS_DEFAULT: u64 = 8 * 3_600_000;
    /// The longest a session lives.
    pub const TTL_MILLIS_MAX: u64 = 24 * 3_600_000;
    /// The shortest a session lives.
    pub const TTL_MILLIS_MIN: u64 = 1_000;
}

/// What a database is declared with.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseAsk {
    /// Its name.
    pub name: UpstreamName,
    /// The server's host.
    pub host: String,
    /// The server's port.
    pub port: u16,
    /// The database's name at the server.
    pub database: String,
    /// The user that the gateway logs in as.
    pub user: String,
    /// The user's password.
    pub password: Secret,
    /// How the server is known.
    pub tls: DatabaseTls,
    /// Whether it may lie on loopback or in a private network.
    pub private_address: bool,
    /// Where it lives.
    pub environment: EnvironmentName,
    /// The role that sessions run as.
    pub role: Option<String>,
    /// The role that sessions of other environments read as, where a human grants it.
    #[serde(default)]
    pub read_role: Option<String>,
    /// The object of another upstream that its files lie on.
    #[serde(default)]
    pub lives_on: Option<ObjectRef>,
    /// What every session is held to.
    #[serde(default)]
    pub limits: DatabaseLimits,
    /// Takes the place of one with the same name.
    pub replace: bool,
}

/// What an upstream is declared with. Absent parts come from its pack.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of its own on the command line"
)]
pub struct UpstreamAsk {
    /// Its name.
    pub name: UpstreamName,
    /// The pack that says what its calls mean.
    pub pack: Option<String>,
    /// Exact host names; the pack's when empty.
    pub hosts: Vec<String>,
    /// The port; the pack's, or 443, when absent.
    pub port: Option<u16>,
    /// Whether it is spoken to in TLS.
    pub tls: bool,
    /// What all its objects are declared to be: shared or development.
    pub declared: Option<Tier>,
    /// Whether it is a model provider.
    pub model_provider: bool,
    /// An address to connect to instead of what the name resolves to.
    pub dial: Option<String>,
    /// Whether writes by method are believed where no pack knows the operation.
    pub writes_by_method: bool,
    /// Whether it may lie on loopback or in a private network.
    pub private_address: bool,
    /// Takes the place of one with the same name.
    pub replace: bool,
}

/// What a credential is stored with. Absent parts come from the upstream's pack.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CredentialAsk {
    /// Its name.
    pub name: CredentialName,
    /// The upstream it is good for.
    pub upstream: UpstreamName,
    /// Its value.
    pub value: Secret,
    /// Only paths that begin with this get it.
    pub path_prefix: String,
    /// How it is put into a call (`bearer`, `header:NAME` ...).
    pub injection: Option<String>,
    /// The shape of its surrogates.
    pub surrogate: Option<String>,
    /// Whether the agent itself logs in with it.
    pub own: bool,
}

impl CredentialAsk {
    /// The most bytes of a credential's value.
    pub const VALUE_BYTES_MAX: usize = 16 << 10;
}

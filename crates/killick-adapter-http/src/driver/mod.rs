//! Drives HTTP over lent streams: the only part of this crate that waits for anything.
//!
//! A connection is taken by [`connection`], whose bytes pass the strict head check in [`filter`] before the
//! library sees them. Each request goes through [`exchange`]: who, credentials, judgement, facts, decision,
//! record, [`upstream`], [`answer`]. Refusals get their shape in [`refusal`]; the gateway's own calls are in
//! [`errand`]; `killick explain` goes through
//! [`explain`]; a session opens a narrower one through [`narrow`].

mod answer;
mod connection;
mod errand;
mod exchange;
mod explain;
mod filter;
mod narrow;
mod refusal;
mod upstream;

pub use explain::{Assume, Explainer};

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use killick_gate::adapter::Adapter;
use killick_gate::ports::{BoxFuture, Stream, Streams, Vault};
use killick_gate::{Call, Due, Gate, LiveSession};
use killick_model::admin::Upstream;
use killick_model::{Action, CallDigest, Outcome, Refusal, UpstreamName};
use parking_lot::RwLock;
use zeroize::Zeroizing;

use crate::judge::{CanonicalRequest, Judged};
use crate::pack::PackSet;

/// The name under which parked calls of this adapter are revived.
pub const ADAPTER_NAME: &str = "http";

/// What the adapter is built from.
pub struct HttpParts {
    /// The door.
    pub gate: Arc<Gate>,
    /// Streams to upstreams and TLS towards agents.
    pub streams: Arc<dyn Streams>,
    /// Where credentials live.
    pub vault: Arc<dyn Vault>,
    /// The packs.
    pub packs: PackSet,
    /// Declared upstreams.
    pub upstreams: Vec<Upstream>,
}

/// The enforcement point for HTTP: REST and GraphQL.
pub struct HttpAdapter {
    gate: Arc<Gate>,
    streams: Arc<dyn Streams>,
    vault: Arc<dyn Vault>,
    packs: Arc<PackSet>,
    upstreams: RwLock<Arc<Declared>>,
    pool: upstream::Pool,
    /// Itself, for errands that outlive a borrow.
    this: std::sync::Weak<Self>,
}

/// The declared upstreams, by name and by host.
#[derive(Debug, Default)]
struct Declared {
    by_name: HashMap<UpstreamName, Arc<Upstream>>,
    by_host: HashMap<(String, u16), Arc<Upstream>>,
}

impl Declared {
    fn new(list: Vec<Upstream>) -> Self {
        let mut declared = Self::default();
        for upstream in list {
            let upstream = Arc::new(upstream);
            for host in &upstream.hosts {
                declared
                    .by_host
                    .insert((host.to_ascii_lowercase(), upstream.port), Arc::clone(&upstream));
            }
            declared.by_name.insert(upstream.name.clone(), upstream);
        }
        declared
    }
}

/// A judged request on its way through the gate.
pub(crate) struct HttpCall {
    pub(crate) judged: Judged,
    pub(crate) upstream: Arc<Upstream>,
    /// The host to which it is addressed; one of the upstream's own.
    pub(crate) host: String,
    /// What the agent itself logs in with, passed on as it is (own and derived credentials).
    pub(crate) kept: Vec<(String, Zeroizing<Vec<u8>>)>,
    /// Whether the bound credential is put in.
    pub(crate) inject: bool,
}

impl Call for HttpCall {
    fn action(&self) -> &Action {
        &self.judged.action
    }

    fn digest(&self) -> CallDigest {
        self.judged.digest
    }

    fn upstream(&self) -> &UpstreamName {
        &self.upstream.name
    }

    fn canonical(&self) -> Result<Zeroizing<Vec<u8>>, Refusal> {
        let parked = ParkedHttp {
            version: PARKED_VERSION,
            upstream: self.upstream.name.clone(),
            host: self.host.clone(),
            request: self.judged.canonical.clone(),
        };
        serde_json::to_vec(&parked).map(Zeroizing::new).map_err(|error| {
            Refusal::new(
                killick_model::Code::DecisionFailed,
                format!("the call cannot be kept: {error}"),
            )
        })
    }
}

impl HttpAdapter {
    /// Builds the adapter.
    #[must_use]
    pub fn new(parts: HttpParts) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            this: this.clone(),
            gate: parts.gate,
            streams: parts.streams,
            vault: parts.vault,
            packs: Arc::new(parts.packs),
            upstreams: RwLock::new(Arc::new(Declared::new(parts.upstreams))),
            pool: upstream::Pool::default(),
        })
    }

    fn shared(&self) -> Result<Arc<Self>, Refusal> {
        self.this.upgrade().ok_or_else(|| {
            Refusal::new(killick_model::Code::DecisionFailed, "the gateway is stopping")
        })
    }

    /// Replaces the declared upstreams as a whole.
    pub fn declare(&self, upstreams: Vec<Upstream>) {
        *self.upstreams.write() = Arc::new(Declared::new(upstreams));
    }

    /// Returns the declared upstreams.
    #[must_use]
    pub fn declared(&self) -> Vec<Upstream> {
        self.upstreams.read().by_name.values().map(|upstream| Upstream::clone(upstream)).collect()
    }

    /// Asks a live provider what its API is, with the credential bound there: an errand on the record.
    ///
    /// # Errors
    /// Says in a sentence what is missing or failed.
    pub async fn introspect(&self, pack: &crate::pack::Pack) -> Result<serde_json::Value, String> {
        errand::introspect(self, pack).await
    }

    /// Returns the packs.
    #[must_use]
    pub fn packs(&self) -> &PackSet {
        &self.packs
    }

    fn by_host(&self, host: &str, port: u16) -> Option<Arc<Upstream>> {
        self.upstreams.read().by_host.get(&(host.to_owned(), port)).cloned()
    }

    fn by_name(&self, name: &UpstreamName) -> Option<Arc<Upstream>> {
        self.upstreams.read().by_name.get(name).cloned()
    }
}

impl Adapter for HttpAdapter {
    fn name(&self) -> &'static str {
        ADAPTER_NAME
    }

    fn serve(self: Arc<Self>, stream: Stream, peer: SocketAddr) -> BoxFuture<'static, ()> {
        Box::pin(connection::serve(self, stream, peer))
    }

    fn revive<'a>(
        &'a self,
        live: &'a LiveSession,
        canonical: Zeroizing<Vec<u8>>,
        due: Option<Due>,
    ) -> BoxFuture<'a, Result<Outcome, Refusal>> {
        Box::pin(async move { exchange::revive(self, live, &canonical, due.as_ref()).await })
    }
}

/// A parked call as it is kept: the canonical request and where it goes.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct ParkedHttp {
    version: u32,
    upstream: UpstreamName,
    host: String,
    request: CanonicalRequest,
}

const PARKED_VERSION: u32 = 1;

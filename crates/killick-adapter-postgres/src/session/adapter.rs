//! What stands behind the door for PostgreSQL.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use killick_gate::adapter::Adapter;
use killick_gate::points::Points;
use killick_gate::ports::{BoxFuture, Stream, Streams, Vault};
use killick_gate::programs::Programs;
use killick_gate::{Due, Gate, LiveSession};
use killick_model::database::Database;
use killick_model::{Code, Outcome, Refusal, UpstreamName};
use parking_lot::RwLock;
use zeroize::Zeroizing;

use super::cancel::Cancel;
use super::meaning::Remembered;
use super::own::{Own, OwnConnections};
use crate::inspect::Catalogues;

/// The name under which parked calls of this adapter are revived.
pub const ADAPTER_NAME: &str = "postgres";

/// Sessions whose statements can be cancelled.
const CANCELS_MAX: usize = 65_536;

/// What the adapter is built from.
pub struct PostgresParts {
    /// The door.
    pub gate: Arc<Gate>,
    /// Streams to servers and TLS towards agents.
    pub streams: Arc<dyn Streams>,
    /// Where passwords live.
    pub vault: Arc<dyn Vault>,
    /// Where recovery points are kept.
    pub points: Arc<dyn Points>,
    /// Programs of the machine: the server's own tools, and those that write down definitions.
    pub programs: Arc<dyn Programs>,
    /// Folders with those tools, before the usual ones.
    pub tools: Vec<String>,
    /// How fast a snapshot may be taken, in bytes a second; as fast as it goes when absent.
    pub snapshot_bytes_per_second: Option<u64>,
    /// Declared databases.
    pub databases: Vec<Database>,
    /// The name that the certificate towards agents is for.
    pub host: String,
}

/// The enforcement point for PostgreSQL's wire.
pub struct PostgresAdapter {
    pub(crate) gate: Arc<Gate>,
    pub(crate) streams: Arc<dyn Streams>,
    pub(crate) vault: Arc<dyn Vault>,
    pub(crate) points: Arc<dyn Points>,
    pub(crate) programs: Arc<dyn Programs>,
    pub(crate) tools: Vec<String>,
    pub(crate) snapshot_bytes_per_second: Option<u64>,
    pub(crate) host: String,
    pub(crate) catalogues: Catalogues,
    own: OwnConnections,
    pub(crate) remembered: Remembered,
    databases: RwLock<HashMap<UpstreamName, Arc<Database>>>,
    pub(crate) cancels: RwLock<HashMap<u32, Arc<Cancel>>>,
}

impl PostgresAdapter {
    /// Builds the adapter.
    #[must_use]
    pub fn new(parts: PostgresParts) -> Arc<Self> {
        let adapter = Self {
            gate: parts.gate,
            streams: parts.streams,
            vault: parts.vault,
            points: parts.points,
            programs: parts.programs,
            tools: parts.tools,
            snapshot_bytes_per_second: parts.snapshot_bytes_per_second,
            host: parts.host,
            catalogues: Catalogues::default(),
            own: OwnConnections::default(),
            remembered: Remembered::default(),
            databases: RwLock::default(),
            cancels: RwLock::default(),
        };
        adapter.replace_databases(parts.databases);
        Arc::new(adapter)
    }

    /// Replaces the declared databases as a whole. Sessions that are open go on as they began.
    pub fn replace_databases(&self, databases: Vec<Database>) {
        let map = databases.into_iter().map(|database| (database.name.clone(), Arc::new(database)));
        *self.databases.write() = map.collect();
        self.catalogues.forget_all();
        self.remembered.forget_all();
        self.own.forget_all();
    }

    /// Lends a connection of the gateway's own for keeping rows: one that waits, or a fresh one.
    pub(crate) async fn lend_own(self: &Arc<Self>, database: &Database) -> Result<Own, Refusal> {
        self.own.lend(self, database).await
    }

    /// Takes a lent connection back, if it is still good.
    pub(crate) fn give_back(&self, database: &Database, own: Own, good: bool) {
        self.own.give_back(database, own, good);
    }

    /// Returns a declared database.
    #[must_use]
    pub fn database(&self, name: &str) -> Option<Arc<Database>> {
        let name = UpstreamName::parse(name).ok()?;
        self.databases.read().get(&name).cloned()
    }

    /// Returns every declared database, by name.
    pub(crate) fn declared(&self) -> Vec<Arc<Database>> {
        let mut all: Vec<_> = self.databases.read().values().cloned().collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    pub(crate) fn admit_cancel(&self, id: u32, cancel: Arc<Cancel>) {
        let mut cancels = self.cancels.write();
        if cancels.len() < CANCELS_MAX {
            cancels.insert(id, cancel);
        }
    }
}

impl Adapter for PostgresAdapter {
    fn name(&self) -> &'static str {
        ADAPTER_NAME
    }

    fn serve(self: Arc<Self>, stream: Stream, peer: SocketAddr) -> BoxFuture<'static, ()> {
        Box::pin(super::connect::serve(self, stream, peer))
    }

    fn revive<'a>(
        &'a self,
        _live: &'a LiveSession,
        _canonical: Zeroizing<Vec<u8>>,
        _due: Option<Due>,
    ) -> BoxFuture<'a, Result<Outcome, Refusal>> {
        Box::pin(async {
            let mut refusal = Refusal::new(
                Code::UnsupportedProtocol,
                "a statement runs in the session that sent it; the gateway does not send it by itself",
            );
            refusal.next_step =
                "The agent sends the same statement, or the same transaction, again".into();
            Err(refusal)
        })
    }
}

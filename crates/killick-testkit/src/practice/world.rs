//! The world as a whole: start it, ask it, stop it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context as _;
use apollo_compiler::Schema;
use apollo_compiler::validation::Valid;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::disk::Disk;
use super::journal::{Journal, SeenRequest};
use super::seed::{self, ids};
use super::state::{State, new_id};
use super::{access, server, tls};

/// Where the provider's schema is kept.
const SCHEMA_PATH: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../packs/railway/schema.graphql");

/// How to start a world.
#[derive(Clone, Debug)]
pub struct PracticeOptions {
    /// Where volumes keep their bytes.
    pub dir: PathBuf,
    /// A file that every request is appended to before it is executed.
    pub request_log: Option<PathBuf>,
    /// The port of the TLS listener; 0 takes a free one.
    pub port: u16,
    /// The account token, random when absent.
    pub account_token: Option<String>,
    /// A second account token: the one an agent finds in a file. Random when absent.
    pub stray_token: Option<String>,
    /// A token of the project's staging environment, random when absent.
    pub project_token: Option<String>,
    /// Names that the certificate covers besides the provider's and the loopback's.
    pub extra_hosts: Vec<String>,
    /// Whether to offer HTTP/2 as well.
    pub http2: bool,
    /// Root fields, as `mutation.cliEventTrack`, that are refused with status 403: what a client
    /// makes of a refusal.
    pub refused: Vec<String>,
}

impl PracticeOptions {
    /// Returns the options of a world with everything random, its volumes in `dir`.
    pub fn in_dir(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            request_log: None,
            port: 0,
            account_token: None,
            stray_token: None,
            project_token: None,
            extra_hosts: Vec::new(),
            http2: false,
            refused: Vec::new(),
        }
    }
}

/// A provider to practise on. It stops when it is dropped.
pub struct PracticeWorld {
    /// Where it listens for TLS.
    pub addr: SocketAddr,
    /// Where it listens without TLS, for reverse proxies and absolute-form requests.
    pub plain_addr: SocketAddr,
    /// The certificate authority to trust.
    pub ca_pem: String,
    /// A token with authority over everything: the one for a gateway to keep.
    pub account_token: String,
    /// Another token with authority over everything: the one that lies around in a file.
    pub stray_token: String,
    /// A token of the staging environment.
    pub project_token: String,
    inner: Arc<Inner>,
    tasks: Vec<JoinHandle<()>>,
}

/// What all connections share.
pub(super) struct Inner {
    pub(super) schema: Arc<Valid<Schema>>,
    pub(super) state: Mutex<State>,
    pub(super) journal: Journal,
    pub(super) refused: Vec<String>,
}

impl PracticeWorld {
    /// Starts a world and fills it.
    ///
    /// # Errors
    /// The directory, the request log or the schema cannot be used, or no port is free.
    pub async fn start(options: PracticeOptions) -> anyhow::Result<Self> {
        let schema = schema()?;
        let disk = Disk::open(&options.dir).context("the world's directory is not usable")?;
        let mut state = State::new(disk);
        seed::plant(&mut state).context("the world's volumes could not be filled")?;
        let account_token = options.account_token.unwrap_or_else(new_id);
        let stray_token = options.stray_token.unwrap_or_else(new_id);
        let project_token = options.project_token.unwrap_or_else(new_id);
        access::admit(&mut state, &account_token, "account", None);
        access::admit(&mut state, &stray_token, "stray", None);
        let scope = Some((ids::PROJECT, ids::STAGING));
        access::admit(&mut state, &project_token, "project", scope);

        let identity = tls::identity(&options.extra_hosts, options.http2)?;
        let journal = Journal::open(options.request_log.as_deref())
            .context("the request log is not writable")?;
        let inner =
            Arc::new(Inner { schema, state: Mutex::new(state), journal, refused: options.refused });
        let listener = TcpListener::bind(("127.0.0.1", options.port)).await?;
        let plain_listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let (addr, plain_addr) = (listener.local_addr()?, plain_listener.local_addr()?);
        let tasks = vec![
            tokio::spawn(server::serve(listener, Some(identity.config), Arc::clone(&inner))),
            tokio::spawn(server::serve(plain_listener, None, Arc::clone(&inner))),
        ];
        let ca_pem = identity.ca_pem;
        Ok(Self {
            addr,
            plain_addr,
            ca_pem,
            account_token,
            stray_token,
            project_token,
            inner,
            tasks,
        })
    }

    /// Returns the address of the API, with a host name that the certificate covers.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://localhost:{}/graphql/v2", self.addr.port())
    }

    /// Returns the requests seen so far, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<SeenRequest> {
        self.inner.journal.requests()
    }

    /// Returns the directory of a volume: its data and its backups, gone when it is deleted.
    #[must_use]
    pub fn volume_dir(&self, volume: &str) -> PathBuf {
        self.inner.state.lock().disk.volume(volume)
    }

    /// Returns the directory of a volume instance's data.
    #[must_use]
    pub fn data_dir(&self, volume: &str, instance: &str) -> PathBuf {
        self.inner.state.lock().disk.data(volume, instance)
    }

    /// Returns an object by its type's name in the schema, `Environment` for example.
    #[must_use]
    pub fn object(&self, kind: &str, id: &str) -> Option<Value> {
        self.inner.state.lock().row(kind, id).cloned().map(Value::Object)
    }

    /// Returns the ids of all objects of a type.
    #[must_use]
    pub fn object_ids(&self, kind: &str) -> Vec<String> {
        self.inner.state.lock().ids_where(kind, &[])
    }

    /// Returns a variable's value, with an empty service for a shared one.
    #[must_use]
    pub fn variable(&self, environment: &str, service: &str, name: &str) -> Option<String> {
        let wanted = [("environmentId", environment), ("serviceId", service), ("name", name)];
        let state = self.inner.state.lock();
        let row = state.rows_where("Variable", &wanted).into_iter().next()?;
        Some(super::state::text(row, "_value").to_owned())
    }

    /// Stops listening and lets go of all connections.
    pub async fn shutdown(mut self) {
        for task in std::mem::take(&mut self.tasks) {
            task.abort();
            // An aborted task answers with an error, which is what was asked for.
            let _aborted = tokio::time::timeout(Duration::from_secs(1), task).await;
        }
    }
}

impl std::fmt::Debug for PracticeWorld {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PracticeWorld").field("addr", &self.addr).finish_non_exhaustive()
    }
}

impl Drop for PracticeWorld {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Reads the provider's schema, once a process.
fn schema() -> anyhow::Result<Arc<Valid<Schema>>> {
    static SCHEMA: OnceLock<Result<Arc<Valid<Schema>>, String>> = OnceLock::new();
    let read = SCHEMA.get_or_init(|| {
        let path = Path::new(SCHEMA_PATH);
        let text = std::fs::read_to_string(path)
            .map_err(|failed| format!("{}: {failed}", path.display()))?;
        let schema = Schema::parse_and_validate(text, path).map_err(|failed| failed.to_string())?;
        Ok(Arc::new(schema))
    });
    read.clone().map_err(anyhow::Error::msg)
}

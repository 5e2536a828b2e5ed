//! The list of adapters: the one place in the binary that names protocols.

use std::io::Read as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use killick_adapter_http::driver::{Assume, Explainer, HttpAdapter, HttpParts};
use killick_adapter_http::pack::{self, Drift, Pack, PackSet, Problem};
use killick_adapter_postgres::explain::Statements;
use killick_adapter_postgres::snapshot::Snapshots;
use killick_adapter_postgres::{PostgresAdapter, PostgresParts, address, prepare};
use killick_admin::ports::PackInfo;
use killick_gate::adapter::Adapter;
use killick_gate::points::Points;
use killick_gate::ports::{Store as _, Streams, Vault};
use killick_gate::programs::Programs;
use killick_gate::wholes::Wholes;
use killick_gate::{Gate, Pdp};
use killick_model::admin::{Injection, Upstream};
use killick_model::database::Database;
use killick_model::explain::Explanation;
use killick_model::readiness::{PrepareAsk, Prepared};
use killick_model::{
    AgentName, EnvironmentName, Owner, Principal, Scope, SessionId, UnixMillis, UpstreamName,
};
use killick_policy::{ActionCatalogue, PolicySource};
use killick_store::SqliteStore;
use zeroize::Zeroizing;

use crate::config::WithoutFence;
use crate::daemon;
use crate::home::Home;

/// A pack as it is built into the binary: its name, and its files by name.
pub(crate) type ShippedPack = (&'static str, &'static [(&'static str, &'static str)]);

/// The packs that are built in.
pub(crate) static SHIPPED: &[ShippedPack] = &[
    (
        "railway",
        &[
            ("pack.toml", include_str!("../../../packs/railway/pack.toml")),
            ("operations.toml", include_str!("../../../packs/railway/operations.toml")),
            ("resolvers.toml", include_str!("../../../packs/railway/resolvers.toml")),
            ("schema.graphql", include_str!("../../../packs/railway/schema.graphql")),
        ],
    ),
    (
        "github",
        &[
            ("pack.toml", include_str!("../../../packs/github/pack.toml")),
            ("operations.toml", include_str!("../../../packs/github/operations.toml")),
            ("resolvers.toml", include_str!("../../../packs/github/resolvers.toml")),
        ],
    ),
    (
        "shopify",
        &[
            ("pack.toml", include_str!("../../../packs/shopify/pack.toml")),
            ("operations.toml", include_str!("../../../packs/shopify/operations.toml")),
            ("resolvers.toml", include_str!("../../../packs/shopify/resolvers.toml")),
        ],
    ),
    (
        "linear",
        &[
            ("pack.toml", include_str!("../../../packs/linear/pack.toml")),
            ("operations.toml", include_str!("../../../packs/linear/operations.toml")),
            ("resolvers.toml", include_str!("../../../packs/linear/resolvers.toml")),
        ],
    ),
];

/// Loads the packs that are built in, and those of a folder beside the configuration, which win.
///
/// # Errors
/// Says, with file and line, what is wrong with a pack; then none counts.
pub(crate) fn load_packs(folder: &Path) -> Result<PackSet, Vec<String>> {
    let mut packs: Vec<Pack> = Vec::new();
    let mut problems = Vec::new();
    for (name, files) in SHIPPED {
        let files =
            files.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect();
        match pack::load(name, &files) {
            Ok(pack) => packs.push(pack),
            Err(found) => problems.extend(found.iter().map(|it| format!("{name}/{it}"))),
        }
    }
    if folder.is_dir() {
        match pack::source::load_dir(folder) {
            Ok(own) => {
                for pack in own.iter() {
                    packs.retain(|shipped| shipped.name != pack.name);
                    packs.push(Pack::clone(pack));
                }
            }
            Err(found) => {
                problems.extend(found.iter().map(|it| format!("{}: {it}", folder.display())));
            }
        }
    }
    if problems.is_empty() { Ok(PackSet::new(packs)) } else { Err(problems) }
}

/// Checks a pack's folder; one problem for each mistake, with file and line.
///
/// # Errors
/// There is no such folder.
pub(crate) fn check_pack(folder: &Path) -> anyhow::Result<Vec<Problem>> {
    let folder = std::fs::canonicalize(folder)
        .with_context(|| format!("{} cannot be read", folder.display()))?;
    Ok(pack::source::check(&folder))
}

/// Compares a provider's introspection answer with its pack; one line for each thing that the pack does not know.
///
/// # Errors
/// The answer is none.
pub(crate) fn drift(pack: &Pack, answer: &serde_json::Value) -> Result<Vec<String>, String> {
    pack::drift(pack, answer).map(|all| all.iter().map(unknown_to_pack).collect())
}

fn unknown_to_pack(drift: &Drift) -> String {
    match drift {
        Drift::UnknownOperation { root, name } => {
            format!("{root} `{name}` is not in the pack: judged unrecognized")
        }
        Drift::Gone { root, name } => {
            format!("{root} `{name}` is in the pack, not at the provider")
        }
        Drift::UnknownArgument { root, name, argument } => {
            format!("{root} `{name}` takes `{argument}`, which the pack does not know")
        }
    }
}

/// Returns every operation that policies may name.
#[must_use]
pub(crate) fn catalogue(packs: &PackSet) -> ActionCatalogue {
    let mut catalogue = ActionCatalogue::new();
    for (operation, effects) in killick_adapter_postgres::operations() {
        if let Err(error) = catalogue.add(&operation, effects) {
            tracing::warn!(%error, operation, "policies cannot name this operation");
        }
    }
    for pack in packs.iter() {
        for (operation, effects) in pack.catalogue() {
            if let Err(error) = catalogue.add(&operation, effects) {
                tracing::warn!(%error, operation, "policies cannot name this operation");
            }
        }
    }
    catalogue
}

/// Returns what administration needs to know of each pack.
#[must_use]
pub(crate) fn pack_infos(packs: &PackSet) -> Vec<PackInfo> {
    packs
        .iter()
        .map(|pack| PackInfo {
            name: pack.name.clone(),
            title: pack.title.clone(),
            hosts: pack.upstreams.iter().flat_map(|set| set.hosts.clone()).collect(),
            port: pack.upstreams.first().map_or(443, |set| set.port),
            inject: injection_text(&pack.injection),
            surrogate: pack.surrogate.clone(),
            variables: pack.variables.clone(),
            operations: pack.operations.len().saturating_add(pack.rest.len()),
        })
        .collect()
}

fn injection_text(injection: &Injection) -> String {
    match injection {
        Injection::Bearer => "bearer".into(),
        Injection::Basic => "basic".into(),
        Injection::Password => "password".into(),
        Injection::Header(name) => format!("header:{name}"),
        Injection::Query(name) => format!("query:{name}"),
        Injection::Cookie(name) => format!("cookie:{name}"),
    }
}

/// Builds the adapters.
#[must_use]
pub(crate) fn build(
    gate: &Arc<Gate>,
    streams: &Arc<dyn Streams>,
    vault: &Arc<dyn Vault>,
    packs: PackSet,
    upstreams: Vec<Upstream>,
) -> Arc<HttpAdapter> {
    HttpAdapter::new(HttpParts {
        gate: Arc::clone(gate),
        streams: Arc::clone(streams),
        vault: Arc::clone(vault),
        packs,
        upstreams,
    })
}

/// The adapter that serves web APIs.
pub(crate) type Http = HttpAdapter;

/// The adapter that serves databases.
pub(crate) type Databases = PostgresAdapter;

/// The variable that names a folder with the databases' own tools.
const TOOLS_VARIABLE: &str = "KILLICK_PG_BIN";

/// Returns where the databases' own tools are looked for first.
fn tool_folders() -> Vec<String> {
    let named = std::env::var(TOOLS_VARIABLE).ok().filter(|it| !it.is_empty());
    named.into_iter().chain(["/usr/lib/postgresql/*/bin".to_owned()]).collect()
}

/// What the adapter that serves databases has beside the house's own parts.
pub(crate) struct ForDatabases {
    /// Where recovery points are kept.
    pub(crate) points: Arc<dyn Points>,
    /// What runs the databases' own tools.
    pub(crate) programs: Arc<dyn Programs>,
    /// How fast a snapshot may be taken.
    pub(crate) snapshot_bytes_per_second: Option<u64>,
    /// Declared databases.
    pub(crate) databases: Vec<Database>,
    /// The name that its certificate is for.
    pub(crate) host: String,
}

/// Builds the adapter that serves databases.
#[must_use]
pub(crate) fn build_databases(
    gate: &Arc<Gate>,
    streams: &Arc<dyn Streams>,
    vault: &Arc<dyn Vault>,
    parts: ForDatabases,
) -> Arc<Databases> {
    PostgresAdapter::new(PostgresParts {
        gate: Arc::clone(gate),
        streams: Arc::clone(streams),
        vault: Arc::clone(vault),
        points: parts.points,
        programs: parts.programs,
        tools: tool_folders(),
        snapshot_bytes_per_second: parts.snapshot_bytes_per_second,
        databases: parts.databases,
        host: parts.host,
    })
}

/// Tells the gate which databases can be copied whole, and returns them.
#[must_use]
pub(crate) fn wholes(gate: &Gate, databases: &Arc<Databases>) -> Arc<dyn Wholes> {
    let wholes = Snapshots::of(databases);
    gate.know_wholes(Arc::clone(&wholes));
    wholes
}

/// Returns the address under which an agent reaches a database. `roots` is the file that knows the gateway's CA.
#[must_use]
pub(crate) fn database_address(
    listens: SocketAddr,
    roots: &str,
    session: &SessionId,
    token: &str,
    database: &Database,
) -> Zeroizing<String> {
    address::for_agent(listens, roots, session, token, database)
}

/// Takes a database server's address apart.
///
/// # Errors
/// Says what is wrong, without the address: it may hold a password.
pub(crate) fn database_url(url: &str) -> Result<address::ServerAddress, String> {
    address::parse(url)
}

/// Writes the statements that prepare a declared database, and says what holds at its server and on this machine.
///
/// # Errors
/// Says why the server could not be looked at.
pub(crate) async fn prepare_database(
    databases: &Arc<Databases>,
    database: &Database,
    ask: &PrepareAsk,
    by: String,
) -> Result<Prepared, String> {
    let (mut prepared, version) = databases.prepare(database, ask, Some(by)).await?;
    if let Some(version) = version {
        prepared.findings.push(prepare::programs::finding(version, dump_program().await));
    }
    Ok(prepared)
}

/// Reads the version of the dump program that would be run: the first where tools are looked for that says one.
async fn dump_program() -> Option<u32> {
    let read = || {
        killick_net::places(prepare::programs::DUMP, &tool_folders()).find_map(|place| {
            let mut bytes = Vec::new();
            let file = std::fs::File::open(place).ok()?;
            file.take(prepare::programs::PROGRAM_BYTES_MAX).read_to_end(&mut bytes).ok()?;
            prepare::programs::version_in(&bytes)
        })
    };
    tokio::task::spawn_blocking(read).await.ok().flatten()
}

/// Writes the statements that prepare a server which is not declared; nobody is asked.
///
/// # Errors
/// Says what is wrong with the address or a name, without the address: it may hold a password.
pub(crate) fn prepare_script(url: &str, ask: &PrepareAsk) -> Result<String, String> {
    let address = address::parse(url)?;
    let roles = prepare::script::Roles::named(&address.database, &address.user, None, ask)?;
    Ok(roles.script())
}

/// Returns the adapters as those who revive parked calls see them.
#[must_use]
pub(crate) fn listed(http: &Arc<HttpAdapter>, databases: &Arc<Databases>) -> Vec<Arc<dyn Adapter>> {
    vec![Arc::clone(http) as Arc<dyn Adapter>, Arc::clone(databases) as Arc<dyn Adapter>]
}

/// What an explanation assumes, since nothing is asked of a provider.
#[derive(Clone, Debug, Default)]
pub(crate) struct Assumed {
    /// As a session of this agent.
    pub(crate) agent: Option<AgentName>,
    /// As a session for this environment.
    pub(crate) environment: Option<EnvironmentName>,
    /// As if every object lay in this environment.
    pub(crate) objects_in: Option<EnvironmentName>,
}

/// Judges and decides written calls without a running gateway: `killick explain`.
pub(crate) struct Offline {
    packs: PackSet,
    pdp: Pdp,
    upstreams: Vec<Upstream>,
    who: Principal,
    assume: Assume,
    statements: Statements,
}

impl Offline {
    /// Opens what a home holds; where there is none, the shipped packs and policies speak.
    ///
    /// # Errors
    /// A pack or a policy is wrong, or the store cannot be read.
    pub(crate) fn open(home: &Home, assumed: Assumed) -> anyhow::Result<Self> {
        let packs = daemon::load_packs(home)?;
        let (pdp, upstreams) = if home.store().is_dir() {
            let store = SqliteStore::open(&home.store(), daemon::master_of(home))?;
            (daemon::load_policies(&store, &packs)?, store.upstreams()?)
        } else {
            let shipped = [PolicySource::shipped()];
            let pdp = Pdp::load(&shipped, &catalogue(&packs))
                .map_err(|found| anyhow::anyhow!("the shipped policies are wrong: {found:?}"))?;
            (pdp, Vec::new())
        };
        let environment = match assumed.environment {
            Some(environment) => environment,
            None => EnvironmentName::parse("staging")?,
        };
        let agent = assumed.agent.as_ref().map_or("explain", AgentName::as_str);
        let who = nobody(agent, &environment)?;
        let production_waiver = crate::config::Config::load(&home.config())
            .is_ok_and(|config| config.production.without_fence == WithoutFence::ReadWrite);
        let assume = Assume { environment: assumed.objects_in, production_waiver };
        let nameless = UpstreamName::parse("database")?;
        let statements = Statements::over_nothing(nameless, assume.environment.clone());
        Ok(Self { packs, pdp, upstreams, who, assume, statements })
    }

    /// Judges statements by what a database's server says exists.
    ///
    /// # Errors
    /// The answers cannot be read.
    pub(crate) fn look_at(
        &mut self,
        answers: &[String],
        name: UpstreamName,
        environment: Option<EnvironmentName>,
    ) -> anyhow::Result<()> {
        let environment = self.assume.environment.clone().or(environment);
        self.statements = Statements::over(answers, name, environment)
            .map_err(|why| anyhow::anyhow!("the database's catalogue cannot be read: {why}"))?;
        Ok(())
    }

    /// Explains one line; `None` when no adapter knows its protocol.
    #[must_use]
    pub(crate) fn explain_line(&self, line: &serde_json::Value) -> Option<Explanation> {
        let waiver = self.assume.production_waiver;
        self.statements.explain(&self.pdp, &self.who, waiver, line).or_else(|| {
            explain(&self.packs, &self.pdp, &self.upstreams, self.assume.clone(), &self.who, line)
        })
    }
}

/// Explains one written call.
#[must_use]
pub(crate) fn explain(
    packs: &PackSet,
    pdp: &Pdp,
    upstreams: &[Upstream],
    assume: Assume,
    who: &Principal,
    line: &serde_json::Value,
) -> Option<Explanation> {
    Explainer { packs, pdp, upstreams, assume }.explain(who, line)
}

/// Returns a principal for explanations: nobody's session, in an environment.
///
/// # Errors
/// A name cannot be one.
pub(crate) fn nobody(
    agent: &str,
    environment: &EnvironmentName,
) -> Result<Principal, killick_model::IdError> {
    let session = SessionId::parse("s-explain")?;
    Ok(Principal {
        session: session.clone(),
        chain: vec![session],
        agent: AgentName::parse(agent)?,
        groups: std::collections::BTreeSet::new(),
        owner: Owner { issuer: "local".into(), subject: "explain".into() },
        environment: environment.clone(),
        task: "explain".into(),
        scope: Scope::full(),
        expires: UnixMillis(u64::MAX),
        fence: false,
    })
}

//! The daemon: opens what is kept, builds the house, serves until it is told to stop.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use killick_admin::ports::Recovery;
use killick_admin::{Administration, AdministrationParts, ServeOptions};
use killick_gate::adapter::Adapter as _;
use killick_gate::ports::{Record, Store, Streams, Vault};
use killick_gate::{Gate, GateConfig, GateParts};
use killick_model::record::{Draft, Kind};
use killick_model::time::Clock;
use killick_net::{
    Ca, Net, NetOptions, SystemClock, SystemPrograms, TcpDoor, UnixDoor, listen_admin, listen_tcp,
};
use killick_policy::Pdp;
use killick_recover::points::Sweeper;
use killick_recover::{Deferrals, Works};
use killick_store::journal::{DirectorySink, Journal, JournalOptions};
use killick_store::{EnvironmentKey, FileKey, KeyProvider, Passphrase, SealedVault, SqliteStore};
use killick_tlog::note::SigningKey;
use tokio::sync::watch;
use zeroize::Zeroizing;

use crate::adapters;
use crate::config::{Config, Publish, WithoutFence};
use crate::home::Home;
use crate::record::RecordReader;
use crate::recovery::Recoveries;
use crate::rest::Rest;

/// How long open connections may go on after a stop.
const DRAIN: Duration = Duration::from_secs(3);

/// Tells the starter the address once the gateway answers there.
pub(crate) type Ready = Box<dyn FnOnce(&str) -> std::io::Result<()> + Send>;

/// The keys of one home.
pub(crate) struct KeysOfHome {
    /// Seals the store.
    pub(crate) master: Arc<dyn KeyProvider>,
    /// Signs checkpoints.
    pub(crate) signing: SigningKey,
    /// The CA that agents trust.
    pub(crate) ca: Ca,
}

/// Finds the provider of the master key: the key file, or the environment where there is none.
pub(crate) fn master_of(home: &Home) -> Arc<dyn KeyProvider> {
    let file = home.master_key();
    if !file.exists() && std::env::var_os(EnvironmentKey::VARIABLE).is_some() {
        Arc::new(EnvironmentKey)
    } else {
        Arc::new(FileKey::at(&file))
    }
}

/// Reads the keys that `killick init` made.
///
/// # Errors
/// One is missing or cannot be read; `killick init` was not run.
pub(crate) fn keys_of(home: &Home, now: killick_model::UnixMillis) -> anyhow::Result<KeysOfHome> {
    let text = |path: &Path| {
        std::fs::read_to_string(path)
            .map(Zeroizing::new)
            .with_context(|| format!("{} cannot be read; run `killick init`", path.display()))
    };
    let signing = SigningKey::parse(text(&home.record_key())?.trim())
        .context("the record's signing key cannot be read")?;
    let ca = Ca::load(&text(&home.ca())?, &text(&home.ca_key())?, now)
        .context("the CA cannot be loaded")?;
    Ok(KeysOfHome { master: master_of(home), signing, ca })
}

/// Opens the record of a home.
///
/// # Errors
/// Another gateway has it open, or it cannot be used.
pub(crate) fn open_journal(
    home: &Home,
    config: &Config,
    keys: &KeysOfHome,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<Journal> {
    let details = FileKey::at(&home.details_key());
    let details = details.master_key().context("the key of the record's details cannot be had")?;
    let ticking = Arc::clone(clock);
    let signing = SigningKey::parse(&keys.signing.to_secret_text())
        .context("the record's signing key cannot be read")?;
    let mut options = JournalOptions::new(
        &config.tenant,
        &config.node,
        signing,
        details.derived("killick-record/1"),
        Arc::new(move || ticking.now().0),
    );
    options.checkpoint_interval = Duration::from_millis(config.record.checkpoint_millis);
    options.entries_per_minute_max = config.record.agent_entries_per_minute;
    options.earlier_keys = crate::record::public_keys(home)?;
    for place in &config.record.publish {
        match place {
            Publish::Directory(path) => options
                .sinks
                .push(Arc::new(DirectorySink::new(path, crate::record::public_keys(home)?))),
            Publish::Webhook(address) => options.sinks.push(crate::webhook::sink(address)?),
        }
    }
    Journal::open(&home.record(), options).context("the record cannot be opened")
}

/// Runs the gateway until it is interrupted or terminated.
///
/// # Errors
/// Something that must be there is not; nothing was served.
#[expect(clippy::too_many_lines, reason = "the wiring of the house, read from top to bottom")]
pub(crate) async fn run(home: Home, config: Config, ready: Ready) -> anyhow::Result<()> {
    let (home, config) = (&home, &config);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
    let keys = keys_of(home, clock.now())?;
    let store = SqliteStore::open(&home.store(), Arc::clone(&keys.master));
    let store = Arc::new(store.context("the store cannot be opened")?);
    let packs = load_packs(home)?;
    let pdp = load_policies(store.as_ref(), &packs)?;
    let journal = open_journal(home, config, &keys, &clock)?;
    let (door, database_door, admin) = open_doors(home, config).await?;
    let options = net_options(config, vec![door.address(), database_door.address()])?;
    let net = Net::new(keys.ca, options, Arc::clone(&clock));
    let net = net.context("the network cannot be set up")?;
    let gate = open_gate(&journal, &store, &clock, pdp, config)?;
    let vault: Arc<dyn Vault> = Arc::new(SealedVault::of(&store));
    let streams: Arc<dyn Streams> = Arc::new(net);
    let recovery = Arc::new(Recoveries::open(home, config)?);
    let http = adapters::build(&gate, &streams, &vault, packs, store.upstreams()?);
    let for_databases = adapters::ForDatabases {
        points: recovery.points(),
        programs: Arc::new(SystemPrograms),
        snapshot_bytes_per_second: config.recovery.snapshot_bytes_per_second,
        databases: store.databases()?,
        host: database_door.address().ip().to_string(),
    };
    let databases = adapters::build_databases(&gate, &streams, &vault, for_databases);
    let wholes = adapters::wholes(&gate, &databases);
    let works = Works::new(
        Arc::clone(&gate),
        wholes,
        recovery.points(),
        config.recovery.snapshot_every_millis,
    );
    recovery.know(&works);
    let deferrals =
        Arc::new(Deferrals::new(Arc::clone(&gate), adapters::listed(&http, &databases)));
    note_start(&gate, config, door.address(), &recovery.points().place()).await?;
    settle_interrupted(&deferrals).await?;
    let uid = rustix::process::geteuid().as_raw();
    let running = Running {
        gate: &gate,
        vault: &vault,
        store: &store,
        clock: &clock,
        journal: &journal,
        http: &http,
        databases: &databases,
        recovery: &recovery,
    };
    let doors = (door.address(), database_door.address());
    let administration = administration(&running, home, doors, uid);
    let sweeper = Sweeper::new(Arc::clone(&gate), Arc::clone(recovery.store()));
    let clockwork = [
        tokio::spawn(Arc::clone(&deferrals).run()),
        tokio::spawn(sweeper.run()),
        tokio::spawn(works.run()),
    ];
    let (stopping, stopped) = watch::channel(false);
    let serving_agents = tokio::spawn(door.serve(
        move |stream, peer| Arc::clone(&http).serve(stream, peer),
        until(stopped.clone()),
        DRAIN,
    ));
    let serving_databases = tokio::spawn(database_door.serve(
        move |stream, peer| Arc::clone(&databases).serve(stream, peer),
        until(stopped.clone()),
        DRAIN,
    ));
    let options_of_admin = ServeOptions { own_uid: uid, admin_uids: config.admin.uids.clone() };
    let serving_people =
        tokio::spawn(killick_admin::serve(admin, administration, options_of_admin, until(stopped)));
    ready(&doors.0.to_string())?;
    wait_for_signal().await?;
    tracing::info!("stopping");
    stopping.send_replace(true);
    clockwork.iter().for_each(tokio::task::JoinHandle::abort);
    let _ = serving_agents.await;
    let _ = serving_databases.await;
    let _ = serving_people.await;
    if let Err(error) = gate.note(Draft::new(Kind::Stop)).await {
        tracing::warn!(%error, "the stop could not be recorded");
    }
    journal.close().await;
    Ok(())
}

async fn open_doors(home: &Home, config: &Config) -> anyhow::Result<(TcpDoor, TcpDoor, UnixDoor)> {
    let agents = listen_tcp(config.gateway.listen).await.context("the gateway cannot listen")?;
    let databases = listen_tcp(config.databases_listen())
        .await
        .context("the gateway cannot listen for databases")?;
    let people = listen_admin(&home.socket()).await.context("the admin socket cannot be opened")?;
    Ok((agents, databases, people))
}

async fn settle_interrupted(deferrals: &Deferrals) -> anyhow::Result<()> {
    let interrupted = deferrals.settle_interrupted().await?;
    if interrupted > 0 {
        tracing::warn!(interrupted, "calls were being sent when the gateway stopped");
    }
    Ok(())
}

pub(crate) fn open_gate(
    journal: &Journal,
    store: &Arc<SqliteStore>,
    clock: &Arc<dyn Clock>,
    pdp: Pdp,
    config: &Config,
) -> anyhow::Result<Arc<Gate>> {
    Ok(Arc::new(Gate::open(GateParts {
        record: Arc::new(journal.clone()) as Arc<dyn Record>,
        store: Arc::clone(store) as Arc<dyn Store>,
        clock: Arc::clone(clock),
        pdp,
        config: GateConfig {
            production_waiver: config.production.without_fence == WithoutFence::ReadWrite,
            grace_millis: config.recovery.grace_millis,
            ..GateConfig::default()
        },
    })?))
}

/// What runs, as the administration point needs it.
struct Running<'a> {
    gate: &'a Arc<Gate>,
    vault: &'a Arc<dyn Vault>,
    store: &'a Arc<SqliteStore>,
    clock: &'a Arc<dyn Clock>,
    journal: &'a Journal,
    http: &'a Arc<adapters::Http>,
    databases: &'a Arc<adapters::Databases>,
    recovery: &'a Arc<Recoveries>,
}

fn administration(
    running: &Running<'_>,
    home: &Home,
    (agents, databases): (SocketAddr, SocketAddr),
    uid: u32,
) -> Arc<Administration> {
    let rest = Rest::new(
        Arc::clone(running.http),
        Arc::clone(running.databases),
        databases,
        home.ca_bundle().display().to_string(),
        Arc::clone(running.gate),
    );
    Arc::new(Administration::new(AdministrationParts {
        gate: Arc::clone(running.gate),
        vault: Arc::clone(running.vault),
        proof: Arc::new(Passphrase::of(running.store, Arc::clone(running.clock))),
        record: Arc::new(RecordReader::new(running.journal.clone(), home.clone())),
        rest: Arc::new(rest),
        recovery: Arc::clone(running.recovery) as Arc<dyn Recovery>,
        gateway: format!("http://{agents}"),
        ca_bundle: home.ca_bundle().display().to_string(),
        version: env!("CARGO_PKG_VERSION").into(),
        uid,
    }))
}

/// Loads the shipped packs and the owner's own.
///
/// # Errors
/// A pack is wrong; every mistake is named.
pub(crate) fn load_packs(home: &Home) -> anyhow::Result<killick_adapter_http::pack::PackSet> {
    match adapters::load_packs(&home.packs()) {
        Ok(packs) => Ok(packs),
        Err(problems) => bail!("a pack cannot be used:\n{}", problems.join("\n")),
    }
}

/// Loads the policies of the store.
///
/// # Errors
/// A policy is wrong; every mistake is named.
pub(crate) fn load_policies(
    store: &dyn Store,
    packs: &killick_adapter_http::pack::PackSet,
) -> anyhow::Result<Pdp> {
    let sources = killick_admin::policies::stored(store)?;
    Pdp::load(&sources, &adapters::catalogue(packs)).map_err(|problems| {
        let all: Vec<String> = problems.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("the policies cannot be used:\n{}", all.join("\n"))
    })
}

pub(crate) fn net_options(config: &Config, own: Vec<SocketAddr>) -> anyhow::Result<NetOptions> {
    let mut extra_roots_pem = Vec::new();
    for path in &config.gateway.extra_roots {
        let pem = std::fs::read_to_string(path)
            .with_context(|| format!("the root certificate {} cannot be read", path.display()))?;
        extra_roots_pem.push(pem);
    }
    Ok(NetOptions { extra_roots_pem, own_addresses: own, ..NetOptions::default() })
}

async fn note_start(
    gate: &Gate,
    config: &Config,
    address: SocketAddr,
    place: &str,
) -> anyhow::Result<()> {
    let entry = Draft::new(Kind::Start).with_details(serde_json::json!({
        "version": env!("CARGO_PKG_VERSION"),
        "listen": address.to_string(),
        "policies": gate.policies().version(),
        "recovery_points": place,
        "production_waiver": config.production.without_fence == WithoutFence::ReadWrite,
    }));
    gate.note(entry).await.context("the record cannot be written; nothing is served")
}

async fn until(mut stopped: watch::Receiver<bool>) {
    // A sender that is gone stops as well.
    let _ = stopped.wait_for(|stop| *stop).await;
}

async fn wait_for_signal() -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

//! A look at a database that nobody declared, with an address that a human typed: over a gateway of its own in a
//! home that is thrown away, so that nothing reaches a server but through the gate.

use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use killick_gate::ports::{Store as _, Streams, Vault};
use killick_model::admin::{CredentialInfo, Injection};
use killick_model::database::{Database, DatabaseLimits};
use killick_model::time::Clock;
use killick_model::{CredentialName, EnvironmentName, UpstreamName};
use killick_net::{Net, SystemClock};
use killick_store::SqliteStore;
use zeroize::Zeroizing;

use crate::cli::InitArgs;
use crate::config::Config;
use crate::home::Home;
use crate::show::screen::aside;
use crate::{adapters, daemon, init, secret_input};

mod typed;

use typed::Typed;

/// Reads what the server behind an address says exists. Returns the name that the database is given.
///
/// # Errors
/// The address is none, or its server cannot be reached.
pub(crate) async fn catalogue(url: &str) -> anyhow::Result<(UpstreamName, Vec<String>)> {
    let address = adapters::database_url(url).map_err(|why| anyhow::anyhow!(why))?;
    let password = match address.password {
        Some(password) => password,
        // A server may ask for none; one that does will say so.
        None => match std::env::var("PGPASSWORD") {
            Ok(password) => Zeroizing::new(password),
            Err(_) => secret_input::typed("password of the database").unwrap_or_default(),
        },
    };
    let thrown_away = ThrownAway::make()?;
    let home = &thrown_away.home;
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let nobody_knows = Zeroizing::new(hex(&random()?));
    init::establish(home, &InitArgs { listen, rotate_ca: false }, Some(nobody_knows))?;
    let config = Config::load(&home.config())?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
    let keys = daemon::keys_of(home, clock.now())?;
    let store = Arc::new(SqliteStore::open(&home.store(), Arc::clone(&keys.master))?);
    let packs = daemon::load_packs(home)?;
    let pdp = daemon::load_policies(store.as_ref(), &packs)?;
    let journal = daemon::open_journal(home, &config, &keys, &clock)?;
    let options = daemon::net_options(&config, Vec::new())?;
    let net = Net::new(keys.ca, options, Arc::clone(&clock))?;
    let gate = daemon::open_gate(&journal, &store, &clock, pdp, &config)?;
    let name = UpstreamName::parse("database")?;
    let database = Database {
        name: name.clone(),
        host: address.host,
        port: address.port,
        database: address.database,
        user: address.user,
        tls: address.tls,
        // Whoever types an address says where it lies.
        private_address: true,
        environment: EnvironmentName::parse("unknown")?,
        role: None,
        read_role: None,
        limits: DatabaseLimits::default(),
        lives_on: None,
        added: clock.now(),
    };
    store.database_put(&database)?;
    let info = CredentialInfo {
        name: CredentialName::parse("database")?,
        upstream: name.clone(),
        path_prefix: "/".into(),
        injection: Injection::Password,
        surrogate: "opaque".into(),
        own: false,
        added: clock.now(),
        rotated: None,
    };
    let value = Zeroizing::new(password.as_bytes().to_vec());
    let vault: Arc<dyn Vault> = Arc::new(Typed { info, value });
    let streams: Arc<dyn Streams> = Arc::new(net);
    let databases = adapters::build_databases(
        &gate,
        &streams,
        &vault,
        adapters::ForDatabases {
            points: Arc::new(killick_gate::points::Nowhere),
            programs: Arc::new(killick_net::SystemPrograms),
            snapshot_bytes_per_second: None,
            databases: vec![database.clone()],
            host: "localhost".into(),
        },
    );
    let answers = databases
        .catalogue_answers(&database, None)
        .await
        .map_err(|why| anyhow::anyhow!("the database could not be looked at: {why}"))?;
    aside("the catalogue was read with the address that you gave; no gateway's record holds that");
    Ok((name, answers))
}

/// A home for the time of one command.
struct ThrownAway {
    path: PathBuf,
    home: Home,
}

impl ThrownAway {
    fn make() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("killick-visit-{}", hex(&random()?)));
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .with_context(|| format!("{} cannot be made", path.display()))?;
        let home = Home::at(Some(&path.join("home")))?;
        Ok(Self { path, home })
    }
}

impl Drop for ThrownAway {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            aside(format!("{} could not be removed: {error}", self.path.display()));
        }
    }
}

fn random() -> anyhow::Result<[u8; 16]> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|_| anyhow::anyhow!("the system has no randomness"))?;
    Ok(bytes)
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

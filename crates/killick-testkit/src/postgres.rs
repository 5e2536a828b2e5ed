//! A real PostgreSQL for tests: a cluster of its own in a temporary directory, on a free loopback port.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that has no server has failed already"
)]

mod chaos;
mod client;
mod frame;
mod regress;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

pub use chaos::{Chaos, Cut, Direction};
pub use client::{Answer, Client, Said};
pub use frame::Frame;
pub use regress::{SERVER_OPTIONS, Suite};

/// The superuser's password; the cluster lives on loopback for the time of one test.
const PASSWORD: &str = "practice-superuser";

/// A running server. Dropped, it is stopped and its files go.
#[derive(Debug)]
pub struct Server {
    bin: PathBuf,
    port: u16,
    directory: TempDir,
    unprivileged: bool,
    options: String,
}

/// Finds the server's programs: `KILLICK_PG_BIN`, or the newest of Debian's.
fn binaries() -> PathBuf {
    if let Some(named) = std::env::var_os("KILLICK_PG_BIN") {
        return named.into();
    }
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .expect("PostgreSQL's server is installed; run scripts/setup.sh")
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .filter(|bin| bin.join("initdb").exists())
        .collect();
    found.sort();
    found.pop().expect("PostgreSQL's server is installed; run scripts/setup.sh")
}

impl Server {
    /// Starts a cluster whose users log in by SCRAM.
    ///
    /// # Panics
    /// It does not start.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[], &[])
    }

    /// Starts a cluster with further settings, each as `name=value`.
    ///
    /// # Panics
    /// It does not start.
    #[must_use]
    pub fn start_set(settings: &[&str]) -> Self {
        Self::start_with(&[], settings)
    }

    /// Starts a cluster that speaks TLS, and notes in its log who logs in and how.
    ///
    /// # Panics
    /// It does not start.
    #[must_use]
    pub fn start_tls(identity: &ServerIdentity) -> Self {
        let files = [
            ("server.crt", identity.certificate_pem.as_str()),
            ("server.key", identity.key_pem.as_str()),
        ];
        Self::start_with(&files, &["ssl=on", "log_connections=on"])
    }

    /// Starts a cluster with files in its data directory and further settings.
    fn start_with(files: &[(&str, &str)], settings: &[&str]) -> Self {
        let bin = binaries();
        let unprivileged = rustix::process::geteuid().is_root();
        let directory = TempDir::with_prefix("killick-pg-").unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let options = settings.iter().flat_map(|it| [" -c ", it]).collect();
        let server = Self { bin, port, directory, unprivileged, options };
        let password = server.path("password");
        std::fs::write(&password, PASSWORD).unwrap();
        if unprivileged {
            run(Command::new("chown").arg("-R").arg("postgres").arg(server.directory.path()));
        }
        let data = server.path("data");
        run(server
            .program("initdb")
            .args(["-A", "scram-sha-256", "-U", "postgres", "-E", "UTF8", "--no-locale", "-N"])
            .arg("-D")
            .arg(&data)
            .arg(format!("--pwfile={}", password.display())));
        for (name, text) in files {
            let file = data.join(name);
            std::fs::write(&file, text).unwrap();
            run(Command::new("chmod").arg("600").arg(&file));
            if unprivileged {
                run(Command::new("chown").arg("postgres").arg(&file));
            }
        }
        server.restart();
        server
    }

    /// Starts the server on its files, as they were left.
    ///
    /// # Panics
    /// It does not start.
    pub fn restart(&self) {
        let options = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off \
             -c max_connections=50{}",
            self.port, self.options
        );
        run(self
            .program("pg_ctl")
            .arg("-D")
            .arg(self.path("data"))
            .args(["-o", &options, "-w", "-l"])
            .arg(self.path("log"))
            .arg("start"));
    }

    /// Starts a server that follows this one and takes no changes.
    ///
    /// # Panics
    /// It does not start.
    #[must_use]
    pub fn standby(&self) -> Self {
        let directory = TempDir::with_prefix("killick-pg-").unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (bin, options) = (self.bin.clone(), self.options.clone());
        let standby = Self { bin, port, directory, unprivileged: self.unprivileged, options };
        if self.unprivileged {
            run(Command::new("chown").arg("postgres").arg(standby.directory.path()));
        }
        run(self
            .program("pg_basebackup")
            .args(["-R", "-X", "stream", "-c", "fast", "-d", &self.url("postgres"), "-D"])
            .arg(standby.path("data")));
        standby.restart();
        standby
    }

    /// Returns what the server wrote into its log.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A program of the server's. It refuses to run as root, so there it runs as its own user.
    fn program(&self, name: &str) -> Command {
        let program = self.bin.join(name);
        if !self.unprivileged {
            return Command::new(program);
        }
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
        command.current_dir("/");
        command
    }

    /// Returns the port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the superuser's address of a database, around the gateway.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres:{PASSWORD}@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }

    /// Runs SQL around the gateway and returns what it prints, unaligned.
    ///
    /// # Panics
    /// It fails.
    #[must_use]
    pub fn sql(&self, database: &str, text: &str) -> String {
        let output = psql(&self.url(database), &["-v", "ON_ERROR_STOP=1", "-c", text]);
        assert!(output.status.success(), "{text}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// Returns the major version.
    ///
    /// # Panics
    /// It does not answer.
    #[must_use]
    pub fn version(&self) -> u32 {
        let number: u32 = self.sql("postgres", "SHOW server_version_num").parse().unwrap();
        number.div_euclid(10_000)
    }

    /// Runs a file of SQL around the gateway; what fails in it is let pass.
    pub fn load(&self, database: &str, file: &Path) {
        let _ = psql(&self.url(database), &["-f", &file.display().to_string()]);
    }

    /// Kills the server as a power cut would.
    pub fn kill(&self) {
        let _ = self
            .program("pg_ctl")
            .arg("-D")
            .arg(self.path("data"))
            .args(["-m", "immediate", "stop"])
            .output();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A certificate for loopback, and the authority that signed it.
#[derive(Clone, Debug)]
pub struct ServerIdentity {
    /// The authority's certificate.
    pub ca_pem: String,
    /// The server's certificate.
    pub certificate_pem: String,
    /// Its key.
    pub key_pem: String,
    ca_key_pem: String,
}

impl ServerIdentity {
    /// Makes an authority and a certificate for `localhost` and `127.0.0.1`.
    ///
    /// # Panics
    /// The system gives no randomness.
    #[must_use]
    pub fn fresh() -> Self {
        Self::signed(&KeyPair::generate().unwrap())
    }

    /// Makes another certificate of the same authority.
    ///
    /// # Panics
    /// The system gives no randomness.
    #[must_use]
    pub fn another(&self) -> Self {
        Self::signed(&KeyPair::from_pem(&self.ca_key_pem).unwrap())
    }

    fn signed(ca_key: &KeyPair) -> Self {
        let mut ca = CertificateParams::default();
        ca.distinguished_name.push(DnType::CommonName, "Practice database root");
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_pem = ca.self_signed(ca_key).unwrap().pem();
        let issuer = Issuer::new(ca, ca_key);
        let key = KeyPair::generate().unwrap();
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut leaf = CertificateParams::new(names).unwrap();
        leaf.use_authority_key_identifier_extension = true;
        let certificate = leaf.signed_by(&key, &issuer).unwrap();
        Self {
            ca_pem,
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            ca_key_pem: ca_key.serialize_pem(),
        }
    }
}

/// Runs the real `psql` against an address; quiet, unaligned, without anybody's own settings.
///
/// # Panics
/// It cannot be started.
#[must_use]
pub fn psql(url: &str, arguments: &[&str]) -> Output {
    Command::new("psql")
        .args(["-X", "-q", "-A", "-t"])
        .args(arguments)
        .arg(url)
        .env("PGCONNECT_TIMEOUT", "20")
        .stdin(Stdio::null())
        .output()
        .expect("psql is installed; run scripts/setup.sh")
}

fn run(command: &mut Command) {
    let output =
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

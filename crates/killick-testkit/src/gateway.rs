//! The real gateway as a process of its own, in a home that is thrown away: what an agent's
//! traffic and a human's commands meet when nothing is pretended.

mod agent;
mod answer;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};

use crate::practice::PracticeWorld;

pub use agent::{AgentSession, Connection, Streaming};
pub use answer::Answer;

/// How long the gateway may take until it answers.
const UP_WAIT_MAX: Duration = Duration::from_secs(30);
/// How long it may take to stop when it is asked to.
const STOP_WAIT_MAX: Duration = Duration::from_secs(15);
/// How long one command may take.
const COMMAND_WAIT_MAX: Duration = Duration::from_mins(1);
/// How often it is looked for the file that says that the gateway answers.
const READY_REST: Duration = Duration::from_millis(5);

/// The approver's passphrase of every gateway that is started here.
pub const PASSPHRASE: &str = "practice-makes-passphrase-7";
/// The upstream that the practice world is declared as.
pub const UPSTREAM: &str = "railway";
/// The credential that is bound to it.
pub const CREDENTIAL: &str = "railway-account";
/// The agent that is added.
pub const AGENT: &str = "coder";

/// How to start a gateway.
#[derive(Clone, Debug)]
pub struct GatewayOptions {
    /// The `killick` command.
    pub binary: PathBuf,
    /// A grace period in place of the packs' own, as `2s`.
    pub grace: Option<String>,
    /// Agents without a fence may write in production.
    pub production_waiver: bool,
}

impl GatewayOptions {
    /// Returns the options of a gateway as it is shipped.
    pub fn of(binary: impl Into<PathBuf>) -> Self {
        Self { binary: binary.into(), grace: None, production_waiver: false }
    }

    /// Returns the same with another grace period.
    #[must_use]
    pub fn with_grace(mut self, grace: &str) -> Self {
        self.grace = Some(grace.to_owned());
        self
    }
}

/// What a command said.
#[derive(Clone, Debug)]
pub struct Said {
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed.
    pub stdout: String,
    /// What it said beside.
    pub stderr: String,
}

impl Said {
    /// Returns the exit status as a number; -1 when a signal ended the command.
    #[must_use]
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or(-1)
    }

    /// Returns what was printed as JSON.
    ///
    /// # Errors
    /// It is none.
    pub fn json(&self) -> anyhow::Result<Value> {
        serde_json::from_str(&self.stdout).with_context(|| format!("no JSON: {self:?}"))
    }
}

/// A running gateway. It is killed when it is dropped.
#[derive(Debug)]
pub struct Gateway {
    home: PathBuf,
    options: GatewayOptions,
    addr: Arc<Mutex<SocketAddr>>,
    child: Option<Child>,
}

impl Gateway {
    /// Starts a gateway in `dir` and tells it of the practice world: upstream, credential, agent.
    ///
    /// # Errors
    /// A step fails; what was said is in the error.
    pub async fn start(
        dir: &Path,
        options: GatewayOptions,
        world: &PracticeWorld,
    ) -> anyhow::Result<Self> {
        let mut gateway = Self::init(dir, options, Some(&world.ca_pem)).await?;
        gateway.up().await?;
        let dial = world.addr.to_string();
        let upstream = ["upstream", "add", UPSTREAM, "--pack", "railway"];
        let place = ["--dial", &dial, "--private-address"];
        gateway.done(&[&upstream[..], &place[..]].concat()).await?;
        gateway.add_credential(CREDENTIAL, UPSTREAM, &world.account_token, &[]).await?;
        gateway.done(&["agent", "add", AGENT]).await?;
        Ok(gateway)
    }

    /// Makes a home for a gateway and starts nothing.
    ///
    /// # Errors
    /// `killick init` fails, or its configuration has another form than expected.
    pub async fn init(
        dir: &Path,
        options: GatewayOptions,
        roots_pem: Option<&str>,
    ) -> anyhow::Result<Self> {
        let home = dir.join("killick");
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let gateway = Self { home, options, addr: Arc::new(Mutex::new(nowhere)), child: None };
        gateway.done(&["init", "--listen", "127.0.0.1:0"]).await?;
        let file = gateway.home.join("killick.toml");
        let mut text = std::fs::read_to_string(&file)?;
        if let Some(pem) = roots_pem {
            let path = dir.join("practice-roots.pem");
            std::fs::write(&path, pem)?;
            let line = format!("extra_roots = [{:?}]", path.display().to_string());
            text = replaced(&text, "# extra_roots = [\"/etc/ssl/company.pem\"]", &line)?;
        }
        if let Some(grace) = &gateway.options.grace {
            text = replaced(&text, "# grace = \"48h\"", &format!("grace = {grace:?}"))?;
        }
        if gateway.options.production_waiver {
            let (read, write) = ("without_fence = \"read-only\"", "without_fence = \"read-write\"");
            text = replaced(&text, read, write)?;
        }
        std::fs::write(&file, text)?;
        Ok(gateway)
    }

    /// Starts the process and waits until it answers.
    ///
    /// # Errors
    /// It ends instead, or does not answer in time; what it said is in the error.
    pub async fn up(&mut self) -> anyhow::Result<()> {
        ensure!(self.child.is_none(), "the gateway runs already");
        let ready = self.home.with_file_name("ready");
        if ready.exists() {
            std::fs::remove_file(&ready)?;
        }
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log_file())?;
        let mut child = self
            .command(&["up", "--ready-file"])
            .arg(&ready)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("{} cannot be started", self.options.binary.display()))?;
        let started = tokio::time::Instant::now();
        loop {
            if let Ok(text) = std::fs::read_to_string(&ready) {
                let text = text.trim();
                let text = text.strip_prefix("http://").unwrap_or(text);
                if let Ok(addr) = text.parse() {
                    *self.addr.lock() = addr;
                    break;
                }
            }
            if let Some(status) = child.try_wait()? {
                bail!("the gateway ended with {status}:\n{}", self.log());
            }
            ensure!(started.elapsed() < UP_WAIT_MAX, "no answer in time:\n{}", self.log());
            tokio::time::sleep(READY_REST).await;
        }
        self.child = Some(child);
        Ok(())
    }

    /// Ends the process without a warning, as a power cut would.
    ///
    /// # Errors
    /// It does not run.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        let mut child = self.child.take().context("the gateway does not run")?;
        child.kill().await?;
        Ok(())
    }

    /// Asks the process to stop, and waits until it has.
    ///
    /// # Errors
    /// It does not run, or does not stop in time, or says that it failed.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        let mut child = self.child.take().context("the gateway does not run")?;
        let id = child.id().context("the gateway ended by itself")?;
        let sent = Command::new("kill").args(["-TERM", &id.to_string()]).status().await?;
        ensure!(sent.success(), "the gateway could not be told to stop");
        let status = tokio::time::timeout(STOP_WAIT_MAX, child.wait())
            .await
            .with_context(|| format!("the gateway does not stop:\n{}", self.log()))??;
        ensure!(status.success(), "the gateway stopped with {status}:\n{}", self.log());
        Ok(())
    }

    /// Runs a command of the gateway's own, with the approver's passphrase at hand.
    ///
    /// # Errors
    /// It cannot be started, or is not done in time.
    pub async fn cli(&self, args: &[&str]) -> anyhow::Result<Said> {
        self.cli_with(PASSPHRASE, args, "").await
    }

    /// Runs a command with any passphrase, and further lines on its standard input.
    ///
    /// # Errors
    /// It cannot be started, or is not done in time.
    pub async fn cli_with(
        &self,
        passphrase: &str,
        args: &[&str],
        further: &str,
    ) -> anyhow::Result<Said> {
        let mut command = self.command(args);
        command.arg("--passphrase-stdin");
        said(&mut command, &format!("{passphrase}\n{further}")).await
    }

    /// Runs a command without a passphrase and without a terminal.
    ///
    /// # Errors
    /// It cannot be started, or is not done in time.
    pub async fn cli_without_proof(&self, args: &[&str]) -> anyhow::Result<Said> {
        said(&mut self.command(args), "").await
    }

    /// Runs a command that must succeed, and returns what it printed.
    ///
    /// # Errors
    /// It fails; what it said is in the error.
    pub async fn done(&self, args: &[&str]) -> anyhow::Result<String> {
        let said = self.cli(args).await?;
        ensure!(said.status.success(), "killick {}: {said:#?}", args.join(" "));
        Ok(said.stdout)
    }

    /// Runs a command that must succeed, and returns what it printed as JSON.
    ///
    /// # Errors
    /// It fails, or prints no JSON.
    pub async fn json(&self, args: &[&str]) -> anyhow::Result<Value> {
        let text = self.done(&[args, &["--json"]].concat()).await?;
        serde_json::from_str(&text).with_context(|| format!("no JSON: {text}"))
    }

    /// Runs a command that must succeed, and returns the JSON objects that it printed, one a line.
    ///
    /// # Errors
    /// It fails, or a line is no JSON.
    pub async fn json_lines(&self, args: &[&str]) -> anyhow::Result<Vec<Value>> {
        let text = self.done(args).await?;
        let read =
            |line: &str| serde_json::from_str(line).with_context(|| format!("no JSON: {line}"));
        text.lines().map(read).collect()
    }

    /// Stores a credential.
    ///
    /// # Errors
    /// It is refused.
    pub async fn add_credential(
        &self,
        name: &str,
        upstream: &str,
        value: &str,
        more: &[&str],
    ) -> anyhow::Result<()> {
        let args = [&["credential", "add", name, "--upstream", upstream], more].concat();
        let said = self.cli_with(PASSPHRASE, &args, &format!("{value}\n")).await?;
        ensure!(said.status.success(), "killick {}: {said:#?}", args.join(" "));
        Ok(())
    }

    /// Opens a session of [`AGENT`] in an environment.
    ///
    /// # Errors
    /// It is refused.
    pub async fn session(&self, environment: &str) -> anyhow::Result<AgentSession> {
        self.session_with(AGENT, environment, &[]).await
    }

    /// Opens a session of any agent, with further arguments.
    ///
    /// # Errors
    /// It is refused.
    pub async fn session_with(
        &self,
        agent: &str,
        environment: &str,
        more: &[&str],
    ) -> anyhow::Result<AgentSession> {
        let task = "routine work on the fleet";
        let base = ["session", "open", "--agent", agent, "--environment", environment];
        let args = [&base[..], &["--task", task], more].concat();
        let opened = self.json(&args).await?;
        let ca_file = self.home.join("ca.pem");
        AgentSession::of(&opened, ca_file, Arc::clone(&self.addr))
    }

    /// Proves the record from its directory and the public key, and returns how that ended.
    ///
    /// # Errors
    /// The command cannot be started.
    pub async fn verify(&self) -> anyhow::Result<Said> {
        let (dir, key) = (self.home.join("record"), self.home.join("record.pub"));
        let mut command = Command::new(&self.options.binary);
        command.args(["log", "verify", "--dir"]).arg(dir).arg("--key").arg(key);
        clean(&mut command);
        said(&mut command, "").await
    }

    /// Returns the whole record as JSON objects, details included.
    ///
    /// # Errors
    /// The gateway does not answer.
    pub async fn record(&self) -> anyhow::Result<Vec<Value>> {
        self.json_lines(&["log", "export", "--format", "jsonl"]).await
    }

    /// Returns where the gateway listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        *self.addr.lock()
    }

    /// Returns the gateway's directory.
    #[must_use]
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Returns the process id of the running gateway.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }

    /// Returns everything that the process printed so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn log_file(&self) -> PathBuf {
        self.home.with_file_name("gateway.log")
    }

    /// Returns the command with the gateway's home and none of the surrounding settings.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.options.binary);
        command.arg("--home").arg(&self.home).args(args);
        clean(&mut command);
        command
    }
}

/// Takes away what a surrounding session or setting would say.
fn clean(command: &mut Command) {
    for name in ["KILLICK_HOME", "KILLICK_SESSION", "KILLICK_GATEWAY", "KILLICK_MASTER_KEY"] {
        command.env_remove(name);
    }
    command.kill_on_drop(true);
}

/// Runs a command to its end.
pub(crate) async fn said(command: &mut Command, stdin: &str) -> anyhow::Result<Said> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| {
            format!("{} cannot be started", command.as_std().get_program().display())
        })?;
    if let Some(mut pipe) = child.stdin.take() {
        // A command that does not read may have closed it.
        let _unread = pipe.write_all(stdin.as_bytes()).await;
    }
    let output = tokio::time::timeout(COMMAND_WAIT_MAX, child.wait_with_output())
        .await
        .with_context(|| format!("{:?} is not done in time", command.as_std()))??;
    Ok(Said {
        status: output.status,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

fn replaced(text: &str, from: &str, to: &str) -> anyhow::Result<String> {
    ensure!(text.contains(from), "the configuration has no line `{from}`:\n{text}");
    Ok(text.replace(from, to))
}

/// Finds the `killick` command that was built beside the running program.
///
/// # Errors
/// It was not built.
pub fn binary_beside() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let found =
        own.ancestors().skip(1).take(3).map(|dir| dir.join("killick")).find(|it| it.is_file());
    found.context("the `killick` command is not built; run `cargo build --bins`")
}

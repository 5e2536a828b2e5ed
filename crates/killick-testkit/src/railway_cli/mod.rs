//! The provider's own command-line client: where it is, what it can do, and how to lead it to a
//! practice world, directly or through a gateway.
//!
//! What the client sends beside a command's own calls, and what it does when that is refused:
//!
//! - Once or twice a command it sends the mutation `cliEventTrack` (usage telemetry), unless
//!   `DO_NOT_TRACK` is set. It waits three seconds for it at most, ignores the answer, and the exit
//!   status stays the command's own.
//! - Unless `RAILWAY_NO_AUTO_UPDATE` is set it asks `api.github.com` for its latest release, may
//!   fetch and install it, and asks for skill updates. It waits one second at most and ignores a
//!   refusal. [`ClientSetup`] always switches this off: a test must not replace its own subject.
//! - A refusal's body is read as GraphQL whatever its status, and the first error's message is
//!   printed as it is, except: a message with `not authorized` in any case becomes the client's own
//!   advice to log in again, one with `project token not found` blames the token, and status 429
//!   blames the rate limit. A body that is no GraphQL answer becomes a decoding error.
//! - `config plan` and `config apply` first ask for a field that the published schema does not
//!   have, and go on without it only when the refusal's message names the field (`iacPartials`).
//!
//! Not in the table, as they do not pass the API: `volume files`, `service files`, `ssh` and
//! `connect` go through an SSH relay or a database port; `agent` and `mcp proxy` talk to other
//! services of the provider, which act on their own.

mod cases;

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::practice::{PracticeWorld, ids};

pub use cases::CASES;

/// How long one command may take.
const COMMAND_WAIT_MAX: Duration = Duration::from_mins(1);

/// What a command does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandKind {
    /// It only looks.
    Inspect,
    /// It changes or adds something.
    Change,
    /// It deletes something, or overwrites it beyond repair.
    Delete,
}

/// Where the objects live that a command is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In staging, the environment that the working directory is linked to.
    Staging,
    /// In production.
    Production,
    /// In no environment: the account, a workspace, or a whole project.
    Beyond,
}

/// What can be seen in the world after a command has really been carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trace {
    /// Nothing.
    Nothing,
    /// An object is gone.
    Gone(&'static str, &'static str),
    /// A volume is gone: its row, its data and its backups.
    VolumeGone(&'static str),
    /// A file that is in no backup is gone from a volume's instance.
    Overwritten(&'static str, &'static str),
    /// A variable is gone, named by environment, service and name.
    VariableGone(&'static str, &'static str, &'static str),
    /// A variable has a value.
    VariableIs(&'static str, &'static str, &'static str, &'static str),
    /// An object's field has a value, a text or JSON; `*` stands for any but null.
    FieldIs(&'static str, &'static str, &'static str, &'static str),
    /// There are more objects of a type than there were at the start.
    More(&'static str, usize),
}

impl Trace {
    /// Says whether the world shows the trace.
    #[must_use]
    pub fn is_in(self, world: &PracticeWorld) -> bool {
        match self {
            Self::Nothing => false,
            Self::Gone(kind, id) => world.object(kind, id).is_none(),
            Self::VolumeGone(volume) => {
                world.object("Volume", volume).is_none() && !world.volume_dir(volume).exists()
            }
            Self::Overwritten(volume, instance) => {
                !world.data_dir(volume, instance).join(ids::FILE_IN_NO_BACKUP).exists()
            }
            Self::VariableGone(environment, service, name) => {
                world.variable(environment, service, name).is_none()
            }
            Self::VariableIs(environment, service, name, value) => {
                world.variable(environment, service, name).as_deref() == Some(value)
            }
            Self::FieldIs(kind, id, field, value) => {
                let found = world.object(kind, id).and_then(|row| row.get(field).cloned());
                match (found, value) {
                    (None, _) => false,
                    (Some(found), "*") => !found.is_null(),
                    (Some(Value::String(found)), value) => found == value,
                    (Some(found), value) => value.parse::<Value>().is_ok_and(|it| it == found),
                }
            }
            Self::More(kind, at_start) => world.object_ids(kind).len() > at_start,
        }
    }
}

/// One command of the client that runs without a terminal.
#[derive(Clone, Copy, Debug)]
pub struct CommandCase {
    /// A name for reports.
    pub name: &'static str,
    /// The arguments.
    pub args: &'static [&'static str],
    /// What is piped in.
    pub stdin: &'static str,
    /// What the command does.
    pub kind: CommandKind,
    /// Where it does it.
    pub place: Place,
    /// The root field that matters, as `mutation.volumeDelete`.
    pub root_field: &'static str,
    /// What is to be seen once it is done.
    pub trace: Trace,
}

/// The credential that the client is given.
#[derive(Clone)]
pub enum ClientToken {
    /// An account's or a workspace's, in `RAILWAY_API_TOKEN`: sent as `Authorization: Bearer`.
    Account(String),
    /// One environment's, in `RAILWAY_TOKEN`: sent as `Project-Access-Token`.
    Project(String),
}

/// How the client reaches the provider.
#[derive(Clone)]
pub struct ClientRoute {
    /// The proxy, as `http://127.0.0.1:PORT`, with user information when it wants some.
    pub proxy_url: String,
    /// The certificate authority to trust.
    pub ca_file: PathBuf,
    /// The credential.
    pub token: ClientToken,
}

/// A home for the client, linked to the practice world's staging environment.
#[derive(Clone)]
pub struct ClientSetup {
    binary: PathBuf,
    home: PathBuf,
    work: PathBuf,
    route: ClientRoute,
    telemetry: bool,
}

impl ClientSetup {
    /// Fills `dir` with a home and a working directory. `None` when the client is not installed.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn prepare(dir: &Path, route: ClientRoute) -> io::Result<Option<Self>> {
        let Some(binary) = binary() else { return Ok(None) };
        let home = dir.join("home");
        let work = home.join("work");
        std::fs::create_dir_all(home.join(".railway"))?;
        std::fs::create_dir_all(work.join(".railway"))?;
        let work = work.canonicalize()?;
        let linked = json!({
            "projectPath": work, "name": "fleet", "project": ids::PROJECT,
            "environment": ids::STAGING, "environmentName": "staging",
            "service": ids::SERVICE_API,
        });
        let mut projects = serde_json::Map::new();
        projects.insert(work.display().to_string(), linked);
        let config = json!({"projects": Value::Object(projects), "user": {}});
        std::fs::write(home.join(".railway/config.json"), config.to_string())?;
        // What a file of the whole configuration does not name, `config apply` deletes.
        let empty = "main = {\"name\": \"fleet\", \"resources\": []}\n";
        std::fs::write(work.join(".railway/railway.py"), empty)?;
        Ok(Some(Self { binary, home, work, route, telemetry: false }))
    }

    /// Lets the client send its telemetry.
    #[must_use]
    pub fn with_telemetry(mut self) -> Self {
        self.telemetry = true;
        self
    }

    /// Returns the environment that the client runs in; it gets no other.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/bin:/bin".to_owned());
        let mut environment = vec![
            ("PATH", path),
            ("HOME", self.home.display().to_string()),
            ("HTTPS_PROXY", self.route.proxy_url.clone()),
            ("SSL_CERT_FILE", self.route.ca_file.display().to_string()),
            ("RAILWAY_NO_AUTO_UPDATE", "1".to_owned()),
        ];
        environment.push(match &self.route.token {
            ClientToken::Account(token) => ("RAILWAY_API_TOKEN", token.clone()),
            ClientToken::Project(token) => ("RAILWAY_TOKEN", token.clone()),
        });
        if !self.telemetry {
            environment.push(("DO_NOT_TRACK", "1".to_owned()));
        }
        environment
    }

    /// Runs a command of the table.
    ///
    /// # Errors
    /// The client cannot be started, or is not done in time.
    pub async fn run(&self, case: &CommandCase) -> io::Result<Output> {
        self.run_with(case.args, case.stdin).await
    }

    /// Runs the client with any arguments.
    ///
    /// # Errors
    /// The client cannot be started, or is not done in time.
    pub async fn run_with(&self, args: &[&str], stdin: &str) -> io::Result<Output> {
        let mut child = Command::new(&self.binary)
            .args(args)
            .env_clear()
            .envs(self.environment())
            .current_dir(&self.work)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        if let Some(mut pipe) = child.stdin.take() {
            // A command that does not read may have closed it.
            let _unread = pipe.write_all(stdin.as_bytes()).await;
        }
        match tokio::time::timeout(COMMAND_WAIT_MAX, child.wait_with_output()).await {
            Ok(output) => output,
            Err(_late) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

/// Finds the client where `scripts/railway-client.sh` puts it.
#[must_use]
pub fn binary() -> Option<PathBuf> {
    let tools = std::env::var_os("KILLICK_TOOLS").map(PathBuf::from).or_else(|| {
        std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/killick/tools"))
    })?;
    let binary = tools.join("bin/railway");
    binary.is_file().then_some(binary)
}

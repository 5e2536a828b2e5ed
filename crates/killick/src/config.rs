//! `killick.toml`: read strictly, with errors that point at the line.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};

mod recovery;

pub(crate) use recovery::{Place, Recovery};

/// Where agents reach the gateway unless the configuration says otherwise.
pub(crate) const LISTEN_DEFAULT: &str = "127.0.0.1:7070";
/// The most bytes of the file.
const CONFIG_BYTES_MAX: u64 = 1 << 20;
/// The shortest time between two checkpoints.
const CHECKPOINT_MILLIS_MIN: u64 = 100;
/// The longest time between two checkpoints.
const CHECKPOINT_MILLIS_MAX: u64 = 3_600_000;
/// Entries that one agent may write in a minute, unless the configuration says otherwise.
const AGENT_ENTRIES_PER_MINUTE: u32 = 60_000;
/// The longest name of a tenant or node.
const NAME_BYTES_MAX: usize = 40;

/// The whole configuration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Whose record it is, in a house with several.
    #[serde(deserialize_with = "name")]
    pub(crate) tenant: String,
    /// The gateway, in a house with several.
    #[serde(deserialize_with = "name")]
    pub(crate) node: String,
    /// Where agents reach the gateway.
    pub(crate) gateway: Gateway,
    /// Where agents reach databases.
    pub(crate) databases: Databases,
    /// What holds for production.
    pub(crate) production: Production,
    /// How calls are made survivable.
    pub(crate) recovery: Recovery,
    /// The record.
    pub(crate) record: Record,
    /// Who may administer.
    pub(crate) admin: Admin,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            tenant: "default".into(),
            node: "node-1".into(),
            gateway: Gateway::default(),
            databases: Databases::default(),
            production: Production::default(),
            recovery: Recovery::default(),
            record: Record::default(),
            admin: Admin::default(),
        }
    }
}

/// `[gateway]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Gateway {
    /// Address and port.
    pub(crate) listen: SocketAddr,
    /// Files with further root certificates to trust, for upstreams inside a company.
    pub(crate) extra_roots: Vec<PathBuf>,
}

impl Default for Gateway {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 7070)), extra_roots: Vec::new() }
    }
}

/// `[databases]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Databases {
    /// Address and port; two ports above the gateway's own unless it is said.
    pub(crate) listen: Option<SocketAddr>,
}

impl Config {
    /// Returns where agents reach databases.
    pub(crate) fn databases_listen(&self) -> SocketAddr {
        self.databases.listen.unwrap_or_else(|| {
            let port = match self.gateway.listen.port() {
                0 => 0,
                port => port.checked_add(2).unwrap_or(0),
            };
            SocketAddr::new(self.gateway.listen.ip(), port)
        })
    }
}

/// `[production]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Production {
    /// What agents without a fence may do in production.
    pub(crate) without_fence: WithoutFence,
}

/// What agents without a fence may do in production.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum WithoutFence {
    /// Look.
    #[default]
    ReadOnly,
    /// Whatever policy lets them: the owner's waiver, loud on every listing.
    ReadWrite,
}

/// `[record]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Record {
    /// How often a checkpoint is signed at most, in milliseconds.
    #[serde(deserialize_with = "checkpoint_interval", rename = "checkpoint_interval")]
    pub(crate) checkpoint_millis: u64,
    /// Where checkpoints go beside the record's own directory.
    pub(crate) publish: Vec<Publish>,
    /// Entries that one agent may write in a minute; the next call is refused.
    pub(crate) agent_entries_per_minute: u32,
}

impl Default for Record {
    fn default() -> Self {
        Self {
            checkpoint_millis: 1_000,
            publish: Vec::new(),
            agent_entries_per_minute: AGENT_ENTRIES_PER_MINUTE,
        }
    }
}

/// A place off the record's own directory where checkpoints go.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) enum Publish {
    /// A directory, at best on another machine.
    Directory(PathBuf),
    /// An address that takes a POST of the note.
    Webhook(String),
}

impl TryFrom<String> for Publish {
    type Error = String;

    fn try_from(raw: String) -> Result<Self, Self::Error> {
        match raw.split_once(':') {
            Some(("dir", path)) if Path::new(path).is_absolute() => {
                Ok(Self::Directory(path.into()))
            }
            Some(("https", rest)) if rest.len() > 2 && rest.starts_with("//") => {
                Ok(Self::Webhook(raw))
            }
            _ => {
                Err("a place to publish is written dir:/absolute/path or https://host/path"
                    .to_owned())
            }
        }
    }
}

/// `[admin]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Admin {
    /// User ids that may administer beside the gateway's own and root.
    pub(crate) uids: Vec<u32>,
}

/// What is wrong with the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConfigError {
    file: String,
    /// Line and column, from 1, and the line itself.
    at: Option<(usize, usize, String)>,
    message: String,
}

impl Config {
    /// Reads a file.
    pub(crate) fn load(path: &Path) -> Result<Self, ConfigError> {
        let failed =
            |message: String| ConfigError { file: path.display().to_string(), at: None, message };
        let size = std::fs::metadata(path).map_err(|error| failed(error.to_string()))?.len();
        if size > CONFIG_BYTES_MAX {
            return Err(failed(format!("{size} bytes; at most {CONFIG_BYTES_MAX} are read")));
        }
        let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
        Self::parse(&path.display().to_string(), &text)
    }

    /// Reads a text.
    pub(crate) fn parse(file: &str, text: &str) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|error| {
            let at = error.span().map(|span| place(text, span.start));
            let message = error.message().replace('\n', " ");
            ConfigError { file: file.to_owned(), at, message }
        })
    }
}

/// Returns line, column and the line itself of a byte.
fn place(text: &str, byte: usize) -> (usize, usize, String) {
    let before = text.get(..byte).unwrap_or(text);
    let line = before.matches('\n').count().saturating_add(1);
    let start = before.rfind('\n').map_or(0, |at| at.saturating_add(1));
    let column = before.get(start..).map_or(0, |part| part.chars().count()).saturating_add(1);
    let shown = text.get(start..).and_then(|rest| rest.lines().next()).unwrap_or_default();
    (line, column, crate::show::plain(shown, crate::show::plain::TEXT_CHARS_MAX))
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((line, column, shown)) = &self.at else {
            return write!(f, "{}: {}", self.file, self.message);
        };
        let gutter = line.to_string();
        let blank = " ".repeat(gutter.len());
        let indent = " ".repeat(column.saturating_sub(1));
        writeln!(f, "{}:{line}:{column}: {}", self.file, self.message)?;
        writeln!(f, "{blank} |")?;
        writeln!(f, "{gutter} | {shown}")?;
        write!(f, "{blank} | {indent}^")
    }
}

impl std::error::Error for ConfigError {}

fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let raw = String::deserialize(deserializer)?;
    let good = (1..=NAME_BYTES_MAX).contains(&raw.len())
        && raw.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if good {
        Ok(raw)
    } else {
        Err(serde::de::Error::custom(format!(
            "a name has 1 to {NAME_BYTES_MAX} characters of a-z 0-9 -"
        )))
    }
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let raw = String::deserialize(deserializer)?;
    killick_model::time::parse_duration_millis(&raw).ok_or_else(|| {
        serde::de::Error::custom("a duration is a number and a unit in quotes: \"30m\", \"48h\"")
    })
}

fn checkpoint_interval<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let millis = duration(deserializer)?;
    if (CHECKPOINT_MILLIS_MIN..=CHECKPOINT_MILLIS_MAX).contains(&millis) {
        Ok(millis)
    } else {
        Err(serde::de::Error::custom("checkpoints are signed every 100ms to 1h"))
    }
}

/// Returns the file that `killick init` writes: every setting, commented.
pub(crate) fn template(listen: SocketAddr, node: &str) -> String {
    format!(
        r#"# Killick's configuration. Unknown settings and wrong values are errors; `killick doctor` checks them.
# Agents, upstreams, credentials and policies are not here: they are changed with commands that need the
# approver's passphrase, and every change is on the record.

tenant = "default"
node = "{node}"

[gateway]
# Where agents reach the gateway. Leave it on loopback unless agents run on other machines.
listen = "{listen}"
# Files with further root certificates to trust, for upstreams inside a company.
# extra_roots = ["/etc/ssl/company.pem"]

[production]
# What agents may do in production while nothing fences them in: "read-only" or "read-write".
# "read-write" is a waiver; `killick status` and `killick doctor` say so loudly.
without_fence = "read-only"

[recovery]
# How long a deferred delete waits before it is sent, in place of the packs' own periods.
# grace = "48h"
# Where recovery points are kept: file:///absolute/path, at best on another machine, or s3://BUCKET/PREFIX with the
# credential in $AWS_ACCESS_KEY_ID and $AWS_SECRET_ACCESS_KEY. They are sealed with recovery.key: keep a copy of it.
# place = "file:///mnt/elsewhere/killick-points"
# endpoint = "https://s3.example.com"
# region = "eu-central-1"
# How long a point is kept; it may hold personal data.
# retention_days = 30
# The most bytes of one point.
# bytes_max = 68719476736
# How often every database is copied whole, and how fast at the most.
# snapshot_every = "24h"
# snapshot_bytes_per_second = 20971520
# SQL queries that must each return true after a snapshot was restored by `killick rehearse`.
# assertions = "/etc/killick/assertions.sql"

[record]
# How often a checkpoint is signed at most.
checkpoint_interval = "1s"
# Where checkpoints go as well, so that a rollback of the whole record is found.
# publish = ["dir:/mnt/elsewhere/killick", "https://example.com/killick"]
publish = []
# Entries that one agent may write in a minute, so that its noise cannot fill the record; the next call is refused. Each
# statement at a database is one.
# agent_entries_per_minute = 60000

[admin]
# User ids that may administer beside this user and root.
uids = []
"#
    )
}

#[cfg(test)]
mod tests;

//! Who may reach what: agents, sessions, upstreams, credentials.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use killick_model::principal::ScopedEffect;
use killick_model::{
    AgentName, CredentialName, EnvironmentName, ObjectRef, Owner, PointId, SessionId, Tier,
    UpstreamName,
};

use super::parse_duration;
use crate::environment::Shell;

/// `killick agent`
#[derive(Debug, Subcommand)]
pub(crate) enum AgentCommand {
    /// Adds an agent
    #[command(after_help = "Example:\n  killick agent add coder --group web")]
    Add {
        /// Its name: a-z 0-9 -
        name: AgentName,
        /// Who answers for it, as ISSUER:SUBJECT [default: the local user]
        #[arg(long, value_parser = Owner::parse)]
        owner: Option<Owner>,
        /// A group it is in; may be given several times
        #[arg(long = "group", value_name = "GROUP")]
        groups: Vec<String>,
    },
    /// Lists agents
    List,
    /// Freezes an agent: at once, on open connections too
    Freeze {
        /// Which
        name: AgentName,
        /// Why
        #[arg(long)]
        reason: Option<String>,
    },
    /// Lets a frozen agent go on
    Thaw {
        /// Which
        name: AgentName,
    },
    /// Removes an agent and ends its sessions
    Remove {
        /// Which
        name: AgentName,
    },
}

/// `killick session`
#[derive(Debug, Subcommand)]
pub(crate) enum SessionCommand {
    /// Opens a session and prints the environment to use it
    #[command(after_help = "Example:\n  \
        eval \"$(killick session open --agent coder --environment staging --task 'fix the login')\"")]
    Open(SessionOpenArgs),
    /// Lists sessions
    List {
        /// Ended ones too
        #[arg(long)]
        all: bool,
    },
    /// Closes a session and every one below it: at once, on open connections too
    Close {
        /// Which
        session: SessionId,
    },
    /// For agents: opens a narrower session from within one, for a sub-agent
    #[command(after_help = "Reads $KILLICK_GATEWAY and $KILLICK_SESSION.\n\n\
        Example:\n  killick session narrow --effects read --ttl 1h --task 'read the logs'")]
    Narrow(SessionNarrowArgs),
}

/// What a session may at the most do.
#[derive(Clone, Debug, Args)]
pub(crate) struct ScopeArgs {
    /// Effects it may have, with commas: read, write, destroy, administer [default: all, within policy]
    #[arg(long, value_delimiter = ',', value_parser = parse_effect)]
    pub(crate) effects: Vec<ScopedEffect>,
    /// Upstreams it may reach, with commas [default: all]
    #[arg(long, value_delimiter = ',')]
    pub(crate) upstreams: Vec<UpstreamName>,
    /// Objects it may touch as KIND:ID, with commas [default: all]
    #[arg(long, value_delimiter = ',')]
    pub(crate) objects: Vec<String>,
}

/// `killick session open`
#[derive(Debug, Args)]
pub(crate) struct SessionOpenArgs {
    /// The agent
    #[arg(long)]
    pub(crate) agent: AgentName,
    /// The environment that the task is in
    #[arg(long, value_name = "NAME")]
    pub(crate) environment: EnvironmentName,
    /// The task, in your words
    #[arg(long, value_name = "TEXT")]
    pub(crate) task: String,
    /// How long it lives, at most 24h
    #[arg(long, default_value = "8h", value_parser = parse_duration, value_name = "DURATION")]
    pub(crate) ttl: u64,
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
    /// The agent has no other way than through the gateway
    #[arg(long)]
    pub(crate) fence: bool,
    /// How the environment is printed
    #[arg(long, value_enum, default_value_t = Shell::Sh)]
    pub(crate) shell: Shell,
}

/// `killick session narrow`
#[derive(Debug, Args)]
pub(crate) struct SessionNarrowArgs {
    /// The task of the sub-agent
    #[arg(long, value_name = "TEXT")]
    pub(crate) task: String,
    /// How long it lives; never longer than the session it comes from
    #[arg(long, default_value = "1h", value_parser = parse_duration, value_name = "DURATION")]
    pub(crate) ttl: u64,
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
    /// How the environment is printed
    #[arg(long, value_enum, default_value_t = Shell::Sh)]
    pub(crate) shell: Shell,
}

/// `killick upstream`
#[derive(Debug, Subcommand)]
pub(crate) enum UpstreamCommand {
    /// Declares an upstream
    #[command(after_help = "Examples:\n  killick upstream add provider --pack PACK\n  \
        killick upstream add api --host api.example.com --declare shared")]
    Add(UpstreamAddArgs),
    /// Lists upstreams
    List,
    /// Takes an upstream back
    Remove {
        /// Which
        name: UpstreamName,
    },
}

/// `killick upstream add`
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of its own on the command line"
)]
pub(crate) struct UpstreamAddArgs {
    /// Its name: a-z 0-9 - . _
    pub(crate) name: UpstreamName,
    /// The pack that says what its calls mean; brings hosts and port
    #[arg(long)]
    pub(crate) pack: Option<String>,
    /// An exact host name; may be given several times
    #[arg(long = "host", value_name = "HOST")]
    pub(crate) hosts: Vec<String>,
    /// The port [default: the pack's, else 443, or 80 with --no-tls]
    #[arg(long)]
    pub(crate) port: Option<u16>,
    /// It is spoken to without TLS
    #[arg(long)]
    pub(crate) no_tls: bool,
    /// What all its objects are: shared or development; undeclared counts as production
    #[arg(long, value_parser = parse_tier, value_name = "KIND")]
    pub(crate) declare: Option<Tier>,
    /// It is a model provider: known credentials in bodies are taken out, not refused
    #[arg(long)]
    pub(crate) model_provider: bool,
    /// Connects there instead of where the name resolves to
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) dial: Option<SocketAddr>,
    /// It may lie on loopback or in a private network
    #[arg(long)]
    pub(crate) private_address: bool,
    /// Where no pack knows an operation, POST, PUT and PATCH count as writes
    #[arg(long)]
    pub(crate) writes_by_method: bool,
    /// Takes the place of the upstream of the same name
    #[arg(long)]
    pub(crate) replace: bool,
}

/// `killick credential`
#[derive(Debug, Subcommand)]
pub(crate) enum CredentialCommand {
    /// Stores a credential; its value is typed, or comes from standard input
    #[command(after_help = "The value is never an argument.\n\n\
        Example:\n  killick credential add deploy --upstream api < token.txt")]
    Add(CredentialAddArgs),
    /// Lists credentials, without values
    List,
    /// Replaces a credential's value
    Rotate {
        /// Which
        name: CredentialName,
        /// Reads the value from a file instead
        #[arg(long, value_name = "FILE")]
        value_file: Option<PathBuf>,
    },
    /// Removes a credential
    Remove {
        /// Which
        name: CredentialName,
    },
}

/// `killick credential add`
#[derive(Debug, Args)]
pub(crate) struct CredentialAddArgs {
    /// Its name: a-z 0-9 - . _
    pub(crate) name: CredentialName,
    /// The upstream it is good for
    #[arg(long)]
    pub(crate) upstream: UpstreamName,
    /// How it is put into a call: bearer, basic, header:NAME, query:NAME, cookie:NAME [default: the pack's]
    #[arg(long, value_name = "WAY")]
    pub(crate) inject: Option<String>,
    /// Only paths that begin with this get it
    #[arg(long, default_value = "/", value_name = "PATH")]
    pub(crate) path_prefix: String,
    /// The shape of its surrogates: uuid, hex:N, alnum:PREFIX:N, opaque [default: the pack's]
    #[arg(long, value_name = "SHAPE")]
    pub(crate) surrogate: Option<String>,
    /// The agent itself logs in with it (at its model provider): passed on, not injected
    #[arg(long)]
    pub(crate) own: bool,
    /// Reads the value from a file instead
    #[arg(long, value_name = "FILE")]
    pub(crate) value_file: Option<PathBuf>,
}

/// `killick database`
#[derive(Debug, Subcommand)]
pub(crate) enum DatabaseCommand {
    /// Declares a database and stores its password
    #[command(
        after_help = "The password is asked for, or read from standard input, when the address holds none.\n\n\
        Example:\n  killick database add main --url 'SCHEME://app@db.example/shop' --environment production"
    )]
    Add(DatabaseAddArgs),
    /// Lists databases
    List,
    /// Writes the SQL that makes a role of least privilege for agents, and says what holds at the server
    #[command(
        after_help = "For the name of a declared database its server is looked at, too; for an address nobody is asked.\n\
        The SQL goes to standard output, for a human to run; what was found to standard error.\n\n\
        Examples:\n  killick database prepare main | psql \"$ADMIN_URL\"\n  killick database prepare main --check"
    )]
    Prepare(DatabasePrepareArgs),
    /// Takes a database back, and its password
    Remove {
        /// Which
        name: UpstreamName,
    },
}

/// `killick database add`
#[derive(Debug, Args)]
pub(crate) struct DatabaseAddArgs {
    /// Its name: the one that agents connect to
    pub(crate) name: UpstreamName,
    /// Its address, as its clients write it
    #[arg(long)]
    pub(crate) url: String,
    /// Where it lives; any name but dev, staging, test and the like counts as production
    #[arg(long)]
    pub(crate) environment: EnvironmentName,
    /// The role that agents' sessions run as [default: the user of the address]
    #[arg(long)]
    pub(crate) role: Option<String>,
    /// The role that sessions of other environments read as, once a human grants it [default: they are not let in]
    #[arg(long, value_name = "ROLE")]
    pub(crate) read_role: Option<String>,
    /// Believes this certificate and no other: SHA-256 of its DER form, 64 hex digits
    #[arg(long, value_name = "SHA256")]
    pub(crate) pin: Option<String>,
    /// It lies on loopback or in a private network
    #[arg(long)]
    pub(crate) private_address: bool,
    /// The object of another upstream that its files lie on; a snapshot then makes deleting that survivable
    #[arg(long, value_name = "UPSTREAM:KIND:ID", value_parser = parse_object)]
    pub(crate) lives_on: Option<ObjectRef>,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
    /// Takes the place of one with the same name
    #[arg(long)]
    pub(crate) replace: bool,
}

/// What every session of a database is held to.
#[derive(Debug, Args)]
pub(crate) struct LimitArgs {
    /// The longest that a statement may run [default: 5m]
    #[arg(long, value_name = "DURATION", value_parser = parse_limit)]
    pub(crate) statement_timeout: Option<u64>,
    /// The longest that a statement may wait for a lock [default: 5s]
    #[arg(long, value_name = "DURATION", value_parser = parse_limit)]
    pub(crate) lock_timeout: Option<u64>,
    /// The longest that an open transaction may be idle [default: 5m]
    #[arg(long, value_name = "DURATION", value_parser = parse_limit)]
    pub(crate) idle_timeout: Option<u64>,
    /// The most that the server may write to its log while a transaction is open that changes something; 0 for any [default: 16GB]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub(crate) wal_max: Option<u64>,
}

/// `killick point`
#[derive(Debug, Subcommand)]
pub(crate) enum PointCommand {
    /// Lists recovery points
    List {
        /// Of this database alone
        #[arg(long, value_name = "NAME")]
        database: Option<UpstreamName>,
    },
    /// Shows what a recovery point holds
    Show {
        /// Which
        id: PointId,
    },
    /// Removes a recovery point for good
    Remove {
        /// Which
        id: PointId,
    },
}

/// `killick database prepare`
#[derive(Debug, Args)]
pub(crate) struct DatabasePrepareArgs {
    /// The name of a declared database, or a server's address
    pub(crate) target: String,
    /// The role that agents' sessions run as [default: the declared one, else `killick_agent`]
    #[arg(long)]
    pub(crate) role: Option<String>,
    /// The role only reads [default name: `killick_reader`]
    #[arg(long)]
    pub(crate) read_only: bool,
    /// A schema that the role works in; may be given several times [default: all]
    #[arg(long = "schema", value_name = "SCHEMA")]
    pub(crate) schemas: Vec<String>,
    /// Prints what was found alone, and fails when a layer is missing
    #[arg(long)]
    pub(crate) check: bool,
}

/// Reads a time limit as a server holds it: from 1 ms to 2^31 - 1 ms. 0 would be none at all.
fn parse_limit(raw: &str) -> Result<u64, String> {
    let millis = super::parse_duration(raw)?;
    if (1..=i32::MAX.unsigned_abs().into()).contains(&millis) {
        return Ok(millis);
    }
    Err("a time limit lies between 1ms and 24d".to_owned())
}

/// Reads a size: a number of bytes, or of `MB` or `GB`, each a power of two.
fn parse_size(raw: &str) -> Result<u64, String> {
    let (number, unit) = match (raw.strip_suffix("GB"), raw.strip_suffix("MB")) {
        (Some(number), _) => (number, 1_u64 << 30),
        (_, Some(number)) => (number, 1 << 20),
        (None, None) => (raw, 1),
    };
    let size = number.trim().parse::<u64>().ok().and_then(|it| it.checked_mul(unit));
    size.ok_or_else(|| "a size is a number of bytes, MB or GB: 512MB, 16GB, 0 for any".to_owned())
}

fn parse_object(raw: &str) -> Result<ObjectRef, String> {
    let mut parts = raw.splitn(3, ':');
    let (Some(upstream), Some(kind), Some(id)) = (parts.next(), parts.next(), parts.next()) else {
        return Err("an object is written UPSTREAM:KIND:ID, as `provider:volume:ID`".to_owned());
    };
    let plain = |text: &str| {
        (1..=ObjectRef::ID_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control)
    };
    if !plain(kind) || !plain(id) {
        return Err("kind and id are 1 to 512 bytes without control characters".to_owned());
    }
    Ok(ObjectRef {
        upstream: UpstreamName::parse(upstream).map_err(|error| error.to_string())?,
        kind: kind.to_owned(),
        id: id.to_owned(),
        within: None,
    })
}

fn parse_effect(raw: &str) -> Result<ScopedEffect, String> {
    match raw {
        "read" => Ok(ScopedEffect::Read),
        "write" => Ok(ScopedEffect::Write),
        "destroy" => Ok(ScopedEffect::Destroy),
        "administer" => Ok(ScopedEffect::Administer),
        _ => Err("effects are read, write, destroy, administer".to_owned()),
    }
}

fn parse_tier(raw: &str) -> Result<Tier, String> {
    match raw {
        "shared" => Ok(Tier::Shared),
        "development" => Ok(Tier::Development),
        _ => Err("an upstream is declared shared or development".to_owned()),
    }
}
